// Made by `make api-types` from the OpenAPI document of package server. Do not edit.

export interface components {
    schemas: {
        Acknowledgement: {
            /** Format: date-time */
            at: string;
            /** Format: int64 */
            attempt: number;
            by: string;
            health?: string;
            state: string;
            why?: string;
        };
        Action: {
            /** Format: int64 */
            attempt?: number;
            /** Format: int64 */
            batch?: number;
            by?: string;
            by_policy?: boolean;
            /** Format: int64 */
            cause: number;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            done_at: string | null;
            ends?: string;
            /** Format: int64 */
            id: number;
            job?: string;
            kind: string;
            last_error?: string;
            late?: components["schemas"]["LateRuns"];
            message: string;
            /** Format: date-time */
            next_at: string | null;
            /** Format: int64 */
            repeat?: number;
            route?: string;
            run?: string;
            run_name?: string;
            sentence_times?: components["schemas"]["SentenceTime"][] | null;
            severity?: string;
            status: string;
            /** Format: int64 */
            tries: number;
            what: string;
        };
        ActionPage: {
            actions: components["schemas"]["Action"][];
            /**
             * Format: int64
             * @description The cursor of the next page, with older actions; absent on the last page
             */
            next_cursor?: number;
        };
        ActionRequestBody: {
            /** @description Name to record if the request has no login. */
            by?: string;
            /** @description The reason. */
            why?: string;
        };
        ActiveRuns: {
            /** Format: int64 */
            count: number;
            /** Format: int64 */
            critical: number;
            /** Format: int64 */
            healthy: number;
            runs: components["schemas"]["OverviewRun"][];
            /** Format: int64 */
            warning: number;
        };
        AllEvents: {
            change: components["schemas"]["RunEvent"];
            run: components["schemas"]["Run"];
        };
        AppendReply: {
            /** Format: int64 */
            attempt: number;
            notice?: string;
            /** Format: int64 */
            number?: number;
            run: string;
            server: string;
            /** Format: int64 */
            size: number;
            watched: boolean;
        };
        ApplyFile: {
            name: string;
            yaml: string;
        };
        ApplyReply: {
            dry_run?: boolean;
            results: components["schemas"]["ApplyResult"][] | null;
        };
        ApplyRequest: {
            by?: string;
            dry_run?: boolean;
            files: components["schemas"]["ApplyFile"][] | null;
            force?: boolean;
            prune?: boolean;
            source?: string;
            yes?: boolean;
        };
        ApplyResult: {
            before?: string;
            changes: string[] | null;
            file?: string;
            job: string;
            overwrites?: string;
            result: string;
            version?: string;
        };
        AttemptEvent: {
            /** Format: int64 */
            attempt: number;
        };
        AttemptRef: {
            /** Format: int64 */
            attempt: number;
            run: string;
        };
        Attention: {
            /** Format: int64 */
            acknowledged: number;
            /** Format: int64 */
            count: number;
            next_cursor: string | null;
            /** Format: int64 */
            older: number;
            runs: components["schemas"]["OverviewRun"][];
        };
        AuditEntry: {
            /** @description Method and route, or the command */
            action: string;
            /** @description Where the request came from */
            address: string;
            /** Format: date-time */
            at: string;
            /** @description What was changed, where the path does not say it: versions of definitions */
            detail?: string;
            /** Format: int64 */
            id: number;
            /**
             * Format: int64
             * @description HTTP status of the answer
             */
            status: number;
            /** @description The path asked for */
            target: string;
            /** @enum {string} */
            via: "none" | "token" | "session" | "oidc" | "command";
            /** @description Name of the token or person; empty where the server needs no token */
            who: string;
        };
        AuditPage: {
            entries: components["schemas"]["AuditEntry"][] | null;
            /**
             * Format: int64
             * @description Pass it as cursor for older entries; not there on the last page
             */
            next_cursor?: number;
        };
        BackfillInBody: {
            /** @description Name to record if the request has no login. */
            by?: string;
            /**
             * Format: date-time
             * @description The first time.
             */
            from: string;
            /**
             * Format: int64
             * @description The number of one schedule; without it, all of the job.
             */
            schedule?: number;
            /**
             * Format: date-time
             * @description The end of the period; times that have not come are left out.
             */
            to: string;
        };
        Band: {
            points: components["schemas"]["BandPoint"][];
            /** Format: int64 */
            runs: number;
        };
        BandPoint: {
            /** Format: double */
            at_seconds: number;
            cpu_cores: components["schemas"]["Spread"];
            memory_bytes: components["schemas"]["Spread"];
        };
        Calendar: {
            days: components["schemas"]["CalendarDay"][];
            job: string;
            more: boolean;
            times: components["schemas"]["CalendarTime"][];
            zone: string;
        };
        CalendarCount: {
            /** Format: int64 */
            count: number;
            result: string;
            state?: string;
        };
        CalendarDay: {
            /** Format: date-time */
            at: string;
            change?: string;
            counts: components["schemas"]["CalendarCount"][];
            day: string;
            /** Format: int64 */
            shift_minutes?: number;
        };
        CalendarTime: {
            /** Format: date-time */
            at: string;
            change?: string;
            /** Format: int64 */
            count: number;
            expected?: boolean;
            in_the_way?: string;
            /** Format: date-time */
            last: string;
            /** Format: int64 */
            number?: number;
            paused?: boolean;
            result: string;
            run?: string;
            /** Format: int64 */
            schedule?: number;
            /** Format: date-time */
            starts?: string;
            state?: string;
            why?: string;
        };
        Cancel: {
            /** Format: date-time */
            at: string;
            by: string;
            by_policy?: boolean;
            why?: string;
        };
        CancelBody: {
            /** @description Name to record if the request has no login. */
            by?: string;
            /** @description The reason. */
            why?: string;
        };
        CanceledRun: {
            canceled?: boolean;
            error?: string;
            /** @description The run as in the request. */
            run: string;
        };
        CanceledRuns: {
            results: components["schemas"]["CanceledRun"][];
        };
        CancelManyInBody: {
            /** @description Name to record if the request has no login. */
            by?: string;
            /** @description The reason. */
            reason?: string;
            /** @description Runs, each named as in a path. */
            runs: string[];
        };
        Candidate: {
            id: string;
            job: string;
            /** Format: int64 */
            number: number;
            /** Format: date-time */
            start_at: string;
            state: string;
        };
        Cause: {
            cause: string;
            evidence: string;
            source?: string;
            /** Format: double */
            weight: number;
        };
        Change: {
            after: string;
            before: string;
            what: string;
        };
        Changes: {
            changes: components["schemas"]["Change"][];
            since: components["schemas"]["ChangesSince"] | null;
        };
        ChangesSince: {
            /** Format: date-time */
            ended_at: string | null;
            id: string;
            /** Format: int64 */
            number: number;
        };
        Claim: {
            /** Format: int64 */
            attempt: number;
            claim: string;
            definition?: string;
            job: string;
            /** Format: int64 */
            left_ms: number;
            parameters?: {
                [key: string]: string;
            };
            run: string;
            spec: components["schemas"]["Spec"];
            token: string;
        };
        ClaimReply: {
            claim_id: string;
            claims: components["schemas"]["Claim"][] | null;
            draining?: string;
            /** Format: date-time */
            now: string;
            server: string;
            /** Format: date-time */
            stop_by?: string;
            worker: string;
        };
        ClaimRequest: {
            allow?: string[] | null;
            claim_id: string;
            commands?: boolean;
            /** Format: int64 */
            free: number;
            /** Format: double */
            free_cpus?: number;
            /** Format: int64 */
            free_memory_bytes?: number;
            host: string;
            labels?: {
                [key: string]: string;
            };
            leaving?: boolean;
            /** Format: int64 */
            memory_bytes?: number;
            running?: components["schemas"]["AttemptRef"][] | null;
            /** Format: int64 */
            slots: number;
            specs: number[] | null;
            starting?: string[] | null;
            version: string;
            /** Format: int64 */
            wait_ms: number;
            worker_id: string;
        };
        Command: {
            /** Format: int64 */
            attempt?: number;
            by: string;
            kind: string;
            why?: string;
        };
        CompatReply: {
            run: string;
        };
        CompatStatus: {
            /** @enum {string} */
            status: "started" | "completed" | "failed";
        };
        CreatedToken: {
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            expires_at: string | null;
            id: string;
            labels?: {
                [key: string]: string;
            };
            /** Format: date-time */
            last_used_at: string | null;
            name: string;
            prefix: string;
            scope: string;
            /** @description The secret. It is shown only here */
            token: string;
            worker?: string;
        };
        CreateTokenInBody: {
            /**
             * Format: double
             * @description How long it is valid; 0 for ever
             */
            expires_seconds?: number;
            /** @description Of the scope worker: the labels that the worker may have */
            labels?: {
                [key: string]: string;
            };
            /** @description What the token is for */
            name: string;
            /** @enum {string} */
            scope: "agent" | "read" | "write" | "author" | "admin" | "worker" | "ping";
            /** @description Of the scope worker: the name of the worker that it is for */
            worker?: string;
        };
        Day: {
            ages_seconds: number[];
            more: boolean;
            numbers: number[];
            states: string[];
        };
        DefinedJob: {
            /** Format: date-time */
            applied_at: string;
            applied_by?: string;
            command: string;
            description?: string;
            /** Format: date-time */
            edited_at?: string;
            edited_by?: string;
            group?: string;
            job: string;
            parameters: components["schemas"]["ParameterInput"][] | null;
            paused?: components["schemas"]["Pause"];
            priority: string;
            source?: string;
            version: string;
            yaml?: string;
            zone?: string;
        };
        DefinitionList: {
            definitions: components["schemas"]["DefinedJob"][];
            /** @description Ask for the next page with this as cursor; null on the last page. */
            next_cursor: string | null;
        };
        DefinitionVersion: {
            /** Format: date-time */
            applied_at: string;
            applied_by?: string;
            changes: string[] | null;
            current: boolean;
            /** Format: date-time */
            first_at: string;
            source?: string;
            version: string;
        };
        DeletedJob: {
            job: string;
            not_reached: string[];
            /** Format: int64 */
            runs: number;
        };
        DeletedRun: {
            /** Format: date-time */
            deleted_at: string;
            deleted_by: string;
            not_reached: string[];
            run: string;
        };
        Dependency: {
            run: string;
            when: string;
        };
        Diagnosis: {
            causes: components["schemas"]["Cause"][] | null;
            evidence?: components["schemas"]["Evidence"];
            sentence: string;
        };
        Drain: {
            /** Format: date-time */
            at: string;
            by: string;
            reason?: string;
            /** Format: date-time */
            stop_by?: string;
        };
        DrainBody: {
            /** @description Name to record if the request has no login. */
            by?: string;
            /**
             * Format: int64
             * @description After how long its agents are asked to stop their jobs; 0 for never.
             */
            deadline_ms?: number;
            /** @description The reason, which worker and server show. */
            reason?: string;
        };
        Due: {
            cron?: string;
            /** Format: int64 */
            every_seconds?: number;
            /** Format: int64 */
            grace_seconds?: number;
            labels?: {
                [key: string]: string;
            };
            /** Format: date-time */
            last_start_at: string | null;
            /** Format: date-time */
            missed_at: string | null;
            /** Format: date-time */
            missed_since?: string;
            /** Format: int64 */
            missed_times?: number;
            /** Format: date-time */
            next_due_at: string | null;
            /** Format: date-time */
            set_at: string;
            set_by: string;
            state: string;
            zone?: string;
        };
        DueSuggestion: {
            suggested: components["schemas"]["SuggestedDue"] | null;
        };
        DueTime: {
            /** Format: date-time */
            at: string;
            change?: string;
            /** Format: date-time */
            missed_at: string;
        };
        DueTimes: {
            cron?: string;
            /** Format: int64 */
            every_seconds?: number;
            /** Format: int64 */
            grace_seconds?: number;
            /** Format: date-time */
            last_start_at: string | null;
            times: components["schemas"]["DueTime"][];
            zone?: string;
        };
        EndEvent: {
            /** Format: int64 */
            attempt: number;
            state: string;
        };
        EventList: {
            events: components["schemas"]["RunEvent"][];
        };
        Evidence: {
            /** Format: int64 */
            attempt: number;
            /** Format: int64 */
            line: number;
            /** Format: int64 */
            step: number;
            stream: string;
            text: string;
        };
        Expected: {
            duration_seconds: components["schemas"]["Percentiles"];
            longest_silence_seconds: components["schemas"]["Percentiles"];
            output_bytes_per_second: components["schemas"]["Percentiles"];
            peak_memory_bytes: components["schemas"]["Percentiles"];
            /** Format: int64 */
            runs: number;
        };
        Explanation: {
            occurrence?: components["schemas"]["RunOccurrence"];
            policy: string;
            rules: components["schemas"]["RuleResult"][];
            waiting?: components["schemas"]["QueuedRun"];
        };
        Finding: {
            evidence: string;
            facts?: {
                [key: string]: unknown;
            };
            health: string;
            next?: string;
            /** Format: date-time */
            next_at?: string;
            next_code?: string;
            rule: string;
            /** Format: date-time */
            since: string;
        };
        FleetAnswer: {
            /**
             * Format: int64
             * @description Active attempts.
             */
            agents: number;
            /**
             * Format: date-time
             * @description When the agents and hosts were read: the response may be a few seconds younger.
             */
            at: string;
            hosts: components["schemas"]["FleetHost"][];
            /**
             * Format: int64
             * @description How many hosts have agents; the overview lists only those that use the most CPU.
             */
            hosts_total: number;
            ingest: components["schemas"]["FleetIngest"];
            /**
             * Format: double
             * @description How long the last commit of appends and heartbeats took.
             */
            lag_seconds: number;
            /**
             * Format: int64
             * @description Live streams that are open on this server.
             */
            readers: number;
        };
        FleetHost: {
            /** Format: int64 */
            agents: number;
            /**
             * Format: double
             * @description Cores that the jobs on this host use, on average since the previous heartbeat.
             */
            cpu_cores: number;
            host: string;
            /** Format: date-time */
            last_heartbeat_at: string | null;
            /** Format: int64 */
            memory_bytes: number;
            /**
             * Format: int64
             * @description Bytes of journals on the host that are not sent.
             */
            unsent_bytes: number;
        };
        FleetIngest: {
            /**
             * Format: double
             * @description Journal bytes that this server received, since the previous response, or its start.
             */
            bytes_per_second: number;
            /** Format: double */
            heartbeats_per_second: number;
        };
        Gap: {
            /** Format: date-time */
            at: string;
            /** Format: int64 */
            at_bytes: number;
            /** Format: int64 */
            bytes: number;
            /** Format: int64 */
            lines: number;
            reason: string;
            /** Format: int64 */
            step: number;
            stream: string;
        };
        GapLine: {
            gap: components["schemas"]["Gap"] | null;
        };
        Gate: {
            gate: string;
            /** Format: date-time */
            opens_at?: string;
            sentence_times?: components["schemas"]["SentenceTime"][] | null;
            text: string;
        };
        GPU: {
            /** Format: int64 */
            index: number;
            /** Format: int64 */
            memory_bytes: number;
            /** Format: int64 */
            memory_total_bytes: number;
            name: string;
            /** Format: double */
            utilization_percent?: number;
        };
        Group: {
            /** Format: int64 */
            active: number;
            /** Format: int64 */
            limit: number;
            name: string;
            /** Format: int64 */
            waiting: number;
        };
        GroupInBody: {
            /**
             * Format: int64
             * @description How many of its runs may be active at once.
             */
            limit: number;
        };
        GroupList: {
            groups: components["schemas"]["Group"][];
        };
        Heartbeat: {
            /** Format: double */
            cpu_seconds: number;
            /** Format: int64 */
            disk_free_bytes?: number;
            /** Format: int64 */
            memory_bytes: number;
            /** Format: int64 */
            memory_limit_bytes?: number;
            /** Format: int64 */
            oom_kills?: number;
            /** Format: int64 */
            output_age_ms: number;
            /** Format: int64 */
            period_ms: number;
            pressure?: components["schemas"]["Pressure"];
            /** Format: int64 */
            processes: number;
            /** Format: int64 */
            read_bytes?: number;
            /** Format: int64 */
            scheduling_delay_ms: number;
            /** Format: date-time */
            sent_at: string;
            /** Format: int64 */
            sequence: number;
            suspended?: boolean;
            /** Format: int64 */
            unsent_bytes: number;
            /** Format: int64 */
            uptime_ms: number;
            /** Format: int64 */
            waiting_ms?: number;
            /** Format: int64 */
            written_bytes?: number;
        };
        HeartbeatReply: {
            /** Format: int64 */
            attempt: number;
            commands: components["schemas"]["Command"][] | null;
            /** Format: int64 */
            lease_ms: number;
            /** Format: int64 */
            next_ms: number;
            owner: boolean;
            run: string;
            server: string;
            watched: boolean;
        };
        JobDay: {
            /** Format: int64 */
            active: number;
            day: components["schemas"]["Day"];
            last_run: components["schemas"]["LastRun"] | null;
            name: string;
            /** Format: int64 */
            runs: number;
            usual?: components["schemas"]["Usual"];
        };
        JobDays: {
            /** Format: int64 */
            count: number;
            jobs: components["schemas"]["JobDay"][];
            next_cursor: string | null;
        };
        JobDue: {
            cron?: string;
            days: components["schemas"]["KeptDay"][];
            /** Format: int64 */
            every_seconds?: number;
            /** Format: int64 */
            grace_seconds?: number;
            labels?: {
                [key: string]: string;
            };
            /** Format: date-time */
            last_start_at: string | null;
            missed: components["schemas"]["MissedTime"][];
            /** Format: date-time */
            missed_at: string | null;
            /** Format: date-time */
            missed_since?: string;
            /** Format: int64 */
            missed_times?: number;
            /** Format: date-time */
            next_due_at: string | null;
            ping_url?: string;
            post_only: boolean;
            pulses: components["schemas"]["Pulses"] | null;
            /** Format: date-time */
            set_at: string;
            set_by: string;
            slug: string;
            state: string;
            zone?: string;
        };
        JobFinding: {
            evidence: string;
            facts?: {
                [key: string]: unknown;
            };
            health: string;
            job: string;
            next?: string;
            /** Format: date-time */
            next_at?: string;
            next_code?: string;
            rule: string;
            sentence_times?: components["schemas"]["SentenceTime"][] | null;
            /** Format: date-time */
            since: string;
        };
        JobList: {
            jobs: components["schemas"]["Summary"][];
            /** @description The cursor of the next page; null on the last page. */
            next_cursor: string | null;
        };
        JobPolicy: {
            default: boolean;
            effective: {
                [key: string]: unknown;
            };
            keep_pending?: components["schemas"]["PendingKeep"][] | null;
            /** Format: date-time */
            set_at: string | null;
            set_by: string;
            yaml: string;
        };
        Keep: {
            /**
             * Format: int64
             * @description Runs that ended longer ago are deleted
             */
            age_seconds: number;
            /**
             * Format: int64
             * @description Of longer logs the middle is deleted
             */
            run_log_bytes: number;
            /**
             * Format: int64
             * @description Of each job, older ended runs than the last so many are deleted
             */
            runs_of_job: number;
            /**
             * Format: int64
             * @description The oldest runs are deleted while all journals take more
             */
            total_bytes: number;
        };
        KeptDay: {
            day: string;
            /** Format: int64 */
            kept: number;
        };
        LastRun: {
            /** Format: int64 */
            number: number;
            /** Format: date-time */
            start_at: string;
            state: string;
        };
        LateRuns: {
            /** Format: int64 */
            failed: number;
            /** Format: date-time */
            from: string;
            host: string;
            /** Format: int64 */
            runs: number;
            /** Format: date-time */
            to: string;
        };
        LoginRequest: {
            /** @description A token with the scope read, write, author or admin */
            token: string;
        };
        LogLine: {
            /** Format: date-time */
            at: string;
            base64?: string;
            /** Format: int64 */
            bytes?: number;
            /** Format: int64 */
            n: number;
            open?: boolean;
            /** Format: int64 */
            step: number;
            stream: string;
            text?: string;
            truncated?: boolean;
        };
        MatchBody: {
            /** @description The events: failed, timed_out, lost, canceled, succeeded, late, healed, recovered, network, or the rule of a finding. Empty for all problems. */
            events?: string[] | null;
            /** @description A glob pattern of job names, with *, ? and [a-z]. */
            job?: string;
            /** @description Labels that the run must have. */
            labels?: {
                [key: string]: string;
            };
            /**
             * @description The lowest severity.
             * @enum {string}
             */
            severity?: "warning" | "critical";
        };
        MeAnswer: {
            /**
             * Format: date-time
             * @description When the database was copied, if it is a restored copy; absent on an original
             */
            copied_at?: string;
            /** @description The ways to log in: token, oidc */
            login: string[] | null;
            name: string;
            /** @description read, write, author or admin; empty if the caller has to log in */
            scope: string;
            /** @description The id of the installation: all servers of one database have the same */
            server: string;
            /** @enum {string} */
            via: "none" | "token" | "session" | "oidc";
        };
        MemoryUsage: {
            /** Format: int64 */
            memory_bytes: number;
            /** Format: int64 */
            peak_memory_bytes: number;
        };
        MissedTime: {
            /** Format: date-time */
            due_at: string;
            /** Format: date-time */
            healed_at: string | null;
            /** Format: date-time */
            last_at: string;
            /** Format: date-time */
            missed_at: string;
            /** Format: date-time */
            started_at: string | null;
            /** Format: int64 */
            times: number;
        };
        Neighbor: {
            id: string;
            /** Format: int64 */
            number: number;
        };
        Neighbors: {
            next: components["schemas"]["Neighbor"] | null;
            previous: components["schemas"]["Neighbor"] | null;
        };
        NoteEvent: {
            /** Format: date-time */
            at: string;
            /** Format: int64 */
            step: number;
            text: string;
        };
        Occurrence: {
            /** Format: date-time */
            at: string;
            /** Format: int64 */
            schedule: number;
        };
        OccurrenceList: {
            occurrences: components["schemas"]["OccurrenceRecord"][];
        };
        OccurrenceRecord: {
            /** Format: date-time */
            at: string;
            /** Format: int64 */
            count: number;
            in_the_way?: string;
            /** Format: date-time */
            last: string;
            /** Format: int64 */
            number?: number;
            result: string;
            run?: string;
            /** Format: int64 */
            schedule: number;
            state?: string;
            why?: string;
        };
        OOM: {
            /** Format: date-time */
            at?: string;
            /** Format: int64 */
            kills: number;
            /** Format: int64 */
            limit_bytes: number;
            /** Format: int64 */
            peak_bytes: number;
            victim?: string;
            /** Format: int64 */
            victim_pid?: number;
        };
        Outcome: {
            by?: string;
            core_dumped?: boolean;
            disconnected?: boolean;
            errno?: string;
            /** Format: int64 */
            exit_code: number | null;
            message: string;
            oom?: components["schemas"]["OOM"];
            reason: string;
            /** Format: date-time */
            retry_at?: string;
            signal?: string;
            /** Format: int64 */
            signal_number?: number;
            state: string;
            step?: string;
        };
        Output: {
            /** Format: int64 */
            bytes: number;
            complete: boolean;
            gaps: components["schemas"]["Gap"][] | null;
            /** Format: int64 */
            lines: number;
            /** Format: double */
            longest_silence_seconds: number;
        };
        OutputEvent: {
            /** Format: date-time */
            at: string;
            base64?: string;
            /** Format: int64 */
            step: number;
            stream: string;
            text?: string;
        };
        OverviewAnswer: {
            active: components["schemas"]["ActiveRuns"];
            /** Format: date-time */
            at: string;
            attention: components["schemas"]["Attention"];
            findings: components["schemas"]["JobFinding"][];
            fleet: components["schemas"]["FleetAnswer"];
            jobs: components["schemas"]["JobDays"];
            server: components["schemas"]["ServerCondition"];
            waiting: components["schemas"]["WaitingRuns"];
        };
        OverviewRun: {
            acknowledged?: components["schemas"]["Acknowledgement"];
            /** Format: int64 */
            attempt: number;
            cancel?: components["schemas"]["Cancel"];
            command: string;
            /** Format: date-time */
            created_at: string;
            /** Format: double */
            delivered_late_seconds?: number;
            diagnosis?: components["schemas"]["Diagnosis"];
            /** Format: date-time */
            ended_at: string | null;
            findings?: components["schemas"]["Finding"][] | null;
            health: string;
            host: string;
            id: string;
            job: string;
            /** Format: date-time */
            last_heartbeat_at: string | null;
            /** Format: int64 */
            number: number;
            outcome: components["schemas"]["Outcome"] | null;
            recent?: components["schemas"]["RecentRuns"];
            sentence_times?: components["schemas"]["SentenceTime"][] | null;
            /** Format: date-time */
            start_at: string;
            /** Format: date-time */
            started_at: string | null;
            state: string;
            status?: string;
            /** Format: date-time */
            suspended_at?: string;
            usage: components["schemas"]["MemoryUsage"];
            usual?: components["schemas"]["Usual"];
        };
        ParameterInput: {
            choices?: string[] | null;
            default?: string;
            help?: string;
            max?: string;
            min?: string;
            name: string;
            pattern?: string;
            resolved?: string;
            type: string;
        };
        ParameterMistake: {
            detail: string;
            name: string;
        };
        Pause: {
            /** Format: date-time */
            at: string;
            by?: string;
            why?: string;
        };
        PauseInBody: {
            /** @description Name to record if the request has no login. */
            by?: string;
            /** @description In their words. */
            why?: string;
        };
        PendingKeep: {
            /**
             * Format: date-time
             * @description When it applies if a server runs until then
             */
            applies_at: string;
            /**
             * Format: int64
             * @description After so much time in which a server runs it applies
             */
            in_seconds: number;
            /** @description Whose policy sets it */
            job?: string;
            /** Format: double */
            keep: number;
            /** Format: double */
            keep_now: number;
            /** Format: int64 */
            of: number;
            /** Format: int64 */
            runs: number;
            /** Format: date-time */
            seen_at: string;
            /** @description --keep-days or --keep-runs of a server, keep.days or keep.runs of a policy */
            setting: string;
        };
        Percentiles: {
            /** Format: double */
            p50: number;
            /** Format: double */
            p95: number;
        };
        PolicyTest: {
            /** Format: int64 */
            runs: number;
            would_miss: components["schemas"]["ReplayFinding"][];
            would_raise: components["schemas"]["ReplayFinding"][];
        };
        Pressure: {
            /** Format: double */
            cpu: number;
            /** Format: double */
            io: number;
            /** Format: double */
            memory: number;
        };
        PriorityInBody: {
            /** @enum {string} */
            priority: "low" | "normal" | "high";
        };
        Problem: {
            candidates?: components["schemas"]["Candidate"][] | null;
            /** Format: int64 */
            column?: number;
            detail?: string;
            /** Format: int64 */
            line?: number;
            mistakes?: components["schemas"]["TextMistake"][] | null;
            parameters?: components["schemas"]["ParameterMistake"][] | null;
            server?: string;
            /** Format: int64 */
            size?: number;
            /** Format: int64 */
            status: number;
            title: string;
            /** @example urn:stint:wrong-offset */
            type: string;
            /** Format: int64 */
            writer?: number;
        };
        Pulses: {
            body: string;
            /** Format: date-time */
            last_at: string;
            /** Format: int64 */
            times: number;
        };
        PutDueInBody: {
            /** @description A run is due at these times: minute hour day month weekday. */
            cron?: string;
            /**
             * Format: int64
             * @description A run is due this long after the start of the last one: 60 to 31536000. Give this or cron.
             */
            every_seconds?: number;
            /**
             * Format: int64
             * @description How long after it was due a run counts as missed: 60 to 31536000; an hour if it is absent.
             */
            grace_seconds?: number;
            /** @description Labels of the runs that pings make, at most 61: all that there are to be; as they are if it is absent. */
            labels?: {
                [key: string]: string;
            };
            /** @description Whether pings count with the method POST only; as it is if it is absent. */
            post_only?: boolean;
            /** @description The name by which it is pinged: a-z, 0-9, -, _ and .; that of the job if it is empty, and as it is if it is absent. */
            slug?: string;
            /** @description The UUID by which it is pinged; as it is, or a new one, if it is absent. */
            uuid?: string;
            /** @description The time zone of cron, such as Europe/Berlin; UTC if it is absent. */
            zone?: string;
        };
        QueuedRun: {
            /** Format: int64 */
            ahead: number;
            /** Format: int64 */
            attempt: number;
            by: string;
            gates: components["schemas"]["Gate"][];
            group?: string;
            health?: string;
            job: string;
            /** Format: int64 */
            number: number;
            priority: string;
            run: string;
            /** Format: date-time */
            since: string;
            /** Format: date-time */
            starts_about?: string;
            state: string;
            worker?: string;
        };
        QueuePage: {
            /** Format: int64 */
            held: number;
            next_cursor: string | null;
            /** Format: int64 */
            queued: number;
            runs: components["schemas"]["QueuedRun"][];
        };
        QueueReleaseReply: {
            /** Format: int64 */
            released: number;
        };
        QuietHours: {
            cron: string;
            duration: string;
            zone?: string;
        };
        RecentRuns: {
            /** Format: int64 */
            ended: number;
            /** Format: int64 */
            job_ended: number;
            /** Format: int64 */
            job_succeeded: number;
            /** Format: int64 */
            wrong: number;
        };
        ReleaseClaimInBody: {
            /** @description Why the worker does not start the run. */
            reason: string;
        };
        ReleaseInBody: {
            /** @description Name to record if the request has no login. */
            by?: string;
            /** @description Only runs of this job; without it, all. */
            job?: string;
        };
        ReplayFinding: {
            /** Format: date-time */
            at: string;
            rule: string;
            run: string;
            sentence: string;
            sentence_times?: components["schemas"]["SentenceTime"][] | null;
        };
        RetryOffer: {
            /** @description The command that starts the job again on its host. It lacks what the server does not know, such as the environment and limits. */
            command: string;
            host: string;
            run: string;
            /** @description The agent of the run waits for a retry now, or the run was submitted, and the queue starts another attempt. */
            waits: boolean;
        };
        Route: {
            /** Format: date-time */
            changed_at: string;
            enabled: boolean;
            error?: string;
            /** Format: int64 */
            group_seconds?: number;
            match: components["schemas"]["RouteMatch"];
            name: string;
            quiet?: components["schemas"]["QuietHours"];
            /** Format: int64 */
            repeat_seconds?: number;
            secret?: string;
            url: string;
        };
        RouteBody: {
            /** @description Ignored, so that a route can be set as it is shown. */
            changed_at?: string;
            /** @description false: the route is kept, and nothing new is sent through it. The default is true. */
            enabled?: boolean;
            /** @description Ignored, like changed_at. */
            error?: string;
            /**
             * Format: int64
             * @description How long the first notification waits for others, to be sent in one message.
             */
            group_seconds?: number;
            match?: components["schemas"]["MatchBody"];
            /** @description The name in the path, or absent. */
            name?: string;
            /** @description Hours in which nothing is sent; at their end all notifications are sent in one message. */
            quiet?: components["schemas"]["QuietHours"];
            /**
             * Format: int64
             * @description After how long a notification is repeated that nobody has acknowledged; 0 for never.
             */
            repeat_seconds?: number;
            /** @description The secret that signs webhooks: whsec_ and base64. If absent, the present one is kept. It is never shown. */
            secret?: string;
            /** @description https://… for a signed webhook, smtp://… for e-mail, or the service URL of a chat (slack://…, ntfy://…). The URL as it is shown, with asterisks, keeps the present one. */
            url: string;
        };
        RouteList: {
            routes: components["schemas"]["Route"][];
        };
        RouteMatch: {
            events?: string[] | null;
            job?: string;
            labels?: {
                [key: string]: string;
            };
            severity?: string;
        };
        RuleResult: {
            fires: boolean;
            health?: string;
            inputs: {
                [key: string]: unknown;
            };
            next?: string;
            /** Format: date-time */
            next_at?: string;
            next_code?: string;
            on: boolean;
            rule: string;
            sentence: string;
            sentence_times?: components["schemas"]["SentenceTime"][] | null;
            /** Format: date-time */
            since?: string;
        };
        Run: {
            acknowledged?: components["schemas"]["Acknowledgement"];
            agent_version: string;
            args: string[] | null;
            /** Format: int64 */
            attempt: number;
            cancel: components["schemas"]["Cancel"] | null;
            command: string;
            containment: string;
            /** Format: date-time */
            created_at: string;
            /** Format: double */
            delivered_late_seconds?: number;
            diagnosis?: components["schemas"]["Diagnosis"];
            dir: string;
            /** Format: date-time */
            ended_at: string | null;
            expected?: components["schemas"]["Expected"];
            findings: components["schemas"]["Finding"][] | null;
            health: string;
            host: string;
            id: string;
            job: string;
            labels: {
                [key: string]: string;
            };
            /** Format: date-time */
            last_heartbeat_at: string | null;
            notes: string[] | null;
            /** Format: int64 */
            number: number;
            outcome: components["schemas"]["Outcome"] | null;
            output: components["schemas"]["Output"];
            sentence_times?: components["schemas"]["SentenceTime"][] | null;
            /** Format: date-time */
            start_at: string;
            /** Format: date-time */
            started_at: string | null;
            state: string;
            status: string;
            steps: components["schemas"]["Step"][] | null;
            stopped_processes?: components["schemas"]["StoppedProcesses"];
            submitted?: components["schemas"]["Submission"];
            /** Format: date-time */
            suspended_at?: string;
            usage: components["schemas"]["Usage"];
        };
        RunCounts: {
            /** @description false: counting stopped early, and the numbers are lower bounds. */
            exact: boolean;
            /** @description Active runs by health, with all filters except health. */
            health: {
                [key: string]: number;
            };
            /** @description Runs by state, with all filters except state. */
            state: {
                [key: string]: number;
            };
            /**
             * Format: int64
             * @description Runs that match all filters.
             */
            total: number;
        };
        RunEvent: {
            /** Format: date-time */
            at: string;
            /** Format: int64 */
            attempt: number;
            by_policy?: boolean;
            clock: string;
            evidence: string;
            from: string;
            /** Format: int64 */
            id: number;
            kind: string;
            rule: string;
            run: string;
            sentence_times?: components["schemas"]["SentenceTime"][] | null;
            to: string;
        };
        RunEvents: {
            attempt: components["schemas"]["AttemptEvent"];
            end: components["schemas"]["EndEvent"];
            gap: components["schemas"]["Gap"];
            note: components["schemas"]["NoteEvent"];
            output: components["schemas"]["OutputEvent"];
            run: components["schemas"]["Run"];
            sample: components["schemas"]["Sample"];
            status: components["schemas"]["StatusEvent"];
            step: components["schemas"]["Step"];
        };
        RunList: {
            /** @description The cursor of the next page; null on the last page. */
            next_cursor: string | null;
            runs: components["schemas"]["Run"][];
        };
        RunOccurrence: {
            /** Format: date-time */
            at: string;
            /** Format: double */
            late_seconds: number;
            result: string;
            /** Format: int64 */
            schedule: number;
            when?: string;
            why?: string;
            zone?: string;
        };
        Sample: {
            /** Format: date-time */
            at: string;
            /** Format: int64 */
            cache_bytes?: number;
            /** Format: double */
            cpu_cores: number;
            /** Format: double */
            cpu_seconds: number;
            gpus?: components["schemas"]["GPU"][] | null;
            /** Format: int64 */
            limit_bytes?: number;
            /** Format: int64 */
            memory_bytes: number;
            /** Format: int64 */
            peak_bytes?: number;
            pressure?: components["schemas"]["Pressure"];
            /** Format: int64 */
            processes: number;
            /** Format: int64 */
            read_bytes?: number;
            /** Format: int64 */
            threads?: number;
            /** Format: int64 */
            write_bytes?: number;
        };
        SampleSeries: {
            /** Format: int64 */
            attempt: number;
            /** Format: int64 */
            points: number;
            run: string;
            samples: components["schemas"]["Sample"][] | null;
            /** Format: int64 */
            total: number;
        };
        Schedule: {
            catch_up: string;
            job: string;
            job_paused?: components["schemas"]["Pause"];
            /** Format: date-time */
            next_at?: string;
            /** Format: int64 */
            number: number;
            parameters?: {
                [key: string]: string;
            };
            paused?: components["schemas"]["Pause"];
            /** Format: int64 */
            spread_ms: number;
            when: string;
            /** Format: int64 */
            window_ms: number;
            zone: string;
        };
        ScheduledTime: {
            /** Format: date-time */
            at: string;
            change?: string;
            job: string;
            paused?: boolean;
            /** Format: int64 */
            schedule: number;
            /** Format: date-time */
            starts: string;
        };
        ScheduleList: {
            /** @description Ask for the next page with this as cursor; null on the last page. */
            next_cursor: string | null;
            schedules: components["schemas"]["Schedule"][];
        };
        SchedulePauseInBody: {
            /** @description Name to record if the request has no login. */
            by?: string;
            /** @description In their words. */
            why?: string;
        };
        SearchDone: {
            /** Format: int64 */
            bytes: number;
            /**
             * Format: int64
             * @description Lines searched.
             */
            lines: number;
            /** Format: int64 */
            matches: number;
            /**
             * Format: int64
             * @description Where to go on: as from_line, or backwards as to_line, where 0 is the beginning.
             */
            next_line: number;
            /** @description Why it ended before the log did: limit or time; else empty. */
            stopped: string;
        };
        SearchDoneLine: {
            done: components["schemas"]["SearchDone"];
        };
        SearchedLine: {
            /**
             * Format: date-time
             * @description When its first byte was printed, by the agent's clock.
             */
            at: string;
            /** @description The line does not match, but is near one that does. */
            context?: boolean;
            /** @description Only a part of the line is shown. */
            cut?: boolean;
            /**
             * Format: int64
             * @description The line's number in the log.
             */
            line: number;
            /** @description Where the matches are: byte offsets in text, from and to. */
            ranges?: (number[] | null)[] | null;
            /** Format: int64 */
            step: number;
            stream: string;
            /** @description The line; of a long one, the part around its first match. */
            text: string;
        };
        SearchProgress: {
            /**
             * Format: int64
             * @description Output searched so far.
             */
            bytes: number;
            /** Format: int64 */
            matches: number;
            /**
             * Format: int64
             * @description Output to search.
             */
            of: number;
        };
        SearchProgressLine: {
            progress: components["schemas"]["SearchProgress"];
        };
        SentenceTime: {
            /** Format: date-time */
            at: string;
            text: string;
        };
        ServerCondition: {
            /** @description What is impaired, as in /readyz; one sentence each. */
            degraded: string[];
            /**
             * Format: int64
             * @description Items that could not be processed and are tried again later, as in /api/v1/troubled; at most 500 are counted.
             */
            troubled: number;
        };
        ServerStatus: {
            /** Format: date-time */
            copied_at?: string;
            degraded?: string[] | null;
            server?: string;
            status: string;
            version: string;
        };
        Settings: {
            /** @description The address that the server listens on */
            address: string;
            /** @description Where finished logs are kept, for people */
            archive: {
                [key: string]: string;
            };
            /**
             * @description Where finished logs are kept
             * @enum {string}
             */
            archive_kind: "database" | "data_directory" | "directory" | "bucket";
            /** @enum {string} */
            database: "sqlite" | "postgres";
            /**
             * @description What is on disk before an agent gets its reply
             * @enum {string}
             */
            durability: "full" | "relaxed";
            /** @description What is kept, and for how long, as this server was started; 0 is no limit */
            keep: components["schemas"]["Keep"];
            /** @description Limits of any server on the database, and of policies, that wait because they would delete more than a tenth of all ended runs at once */
            keep_pending?: components["schemas"]["PendingKeep"][] | null;
            /** @description Tokens and logs are sent over a network without TLS */
            plain_http: boolean;
            public_url?: string;
            /** @description The server speaks TLS itself */
            tls: boolean;
            version: string;
        };
        Spec: {
            args: string[] | null;
            cache_dirs?: string[] | null;
            cache_files?: string[] | null;
            /** Format: double */
            cpus?: number;
            dir?: string;
            env?: {
                [key: string]: string;
            };
            install?: string[] | null;
            /** Format: int64 */
            install_timeout_ms?: number;
            labels?: {
                [key: string]: string;
            };
            /** Format: int64 */
            memory_bytes?: number;
            /** Format: int64 */
            no_output_timeout_ms?: number;
            /** Format: int64 */
            timeout_ms?: number;
            /** Format: int64 */
            version: number;
            zone?: string;
        };
        Spread: {
            /** Format: double */
            p10: number;
            /** Format: double */
            p50: number;
            /** Format: double */
            p90: number;
        };
        StatusEvent: {
            /** Format: date-time */
            at: string;
            text: string;
        };
        Step: {
            command: string;
            /** Format: date-time */
            ended_at: string | null;
            /** Format: int64 */
            exit_code: number | null;
            /** Format: int64 */
            index: number;
            kind: string;
            message?: string;
            name: string;
            /** Format: int64 */
            pid?: number;
            signal?: string;
            /** Format: date-time */
            started_at: string;
            state: string;
        };
        StoppedProcess: {
            facts: string[];
            name: string;
            /** Format: int64 */
            parent: number;
            /** Format: int64 */
            pid: number;
        };
        StoppedProcesses: {
            /** Format: int64 */
            not_described: number;
            notes: number[];
            processes: components["schemas"]["StoppedProcess"][];
        };
        Submission: {
            after?: components["schemas"]["Dependency"][] | null;
            /** Format: date-time */
            at: string;
            by: string;
            definition?: string;
            given?: {
                [key: string]: string;
            };
            group?: string;
            held?: string;
            key?: string;
            /** Format: date-time */
            not_before?: string;
            occurrence?: components["schemas"]["Occurrence"];
            parameters?: {
                [key: string]: string;
            };
            priority: string;
            reason?: string;
            requires?: {
                [key: string]: string;
            };
            /** Format: date-time */
            start_by?: string;
            worker?: string;
        };
        SubmitRequest: {
            after?: components["schemas"]["Dependency"][] | null;
            again?: string;
            by?: string;
            command?: components["schemas"]["Spec"];
            /** Format: int64 */
            delay_ms?: number;
            group?: string;
            job: string;
            key?: string;
            labels?: {
                [key: string]: string;
            };
            /** Format: date-time */
            not_before?: string;
            overlap?: string;
            parameters?: {
                [key: string]: string;
            };
            priority?: string;
            requires?: {
                [key: string]: string;
            };
            version?: string;
        };
        SuggestedDue: {
            cron?: string;
            /** Format: int64 */
            every_seconds?: number;
            /** Format: int64 */
            grace_seconds?: number;
            /** Format: int64 */
            off_seconds: number;
            /** Format: int64 */
            starts: number;
            when: string;
            zone?: string;
        };
        Summary: {
            /** Format: int64 */
            active: number;
            due?: components["schemas"]["Due"];
            expected?: components["schemas"]["Expected"];
            findings?: components["schemas"]["JobFinding"][] | null;
            last_run: components["schemas"]["Run"] | null;
            /** Format: date-time */
            last_success_at: string | null;
            name: string;
            /** Format: date-time */
            next_at?: string;
            /** Format: int64 */
            runs: number;
            /** Format: int64 */
            succeeded: number;
            usual: components["schemas"]["Usual"] | null;
        };
        TestAnswer: {
            /** @description Why the receiver has not accepted the message. */
            error?: string;
            ok: boolean;
        };
        TextMistake: {
            /** Format: int64 */
            column: number;
            detail: string;
            file?: string;
            /** Format: int64 */
            line: number;
        };
        TimeList: {
            times: components["schemas"]["ScheduledTime"][];
        };
        Token: {
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            expires_at: string | null;
            id: string;
            labels?: {
                [key: string]: string;
            };
            /** Format: date-time */
            last_used_at: string | null;
            name: string;
            prefix: string;
            scope: string;
            worker?: string;
        };
        TokensAnswer: {
            tokens: components["schemas"]["Token"][] | null;
        };
        TroubledItem: {
            error: string;
            id: string;
            kind: string;
            /** Format: date-time */
            last_at: string;
            /** Format: date-time */
            next_at: string;
            /** Format: date-time */
            since_at: string;
            /** Format: int64 */
            tries: number;
        };
        TroubledItems: {
            /** @description The items that failed last, at most 500, latest first */
            items: components["schemas"]["TroubledItem"][];
        };
        Usage: {
            /** Format: double */
            cpu_seconds: number;
            /** Format: int64 */
            memory_bytes: number;
            /** Format: int64 */
            peak_memory_bytes: number;
            /** Format: int64 */
            peak_memory_with_cache_bytes?: number;
            /** Format: int64 */
            processes: number;
            /** Format: int64 */
            read_bytes: number;
            /** Format: int64 */
            written_bytes: number;
        };
        Usual: {
            /** Format: double */
            duration_p50_seconds: number;
            /** Format: double */
            duration_p95_seconds: number;
            /** Format: int64 */
            peak_memory_p50_bytes: number;
            /** Format: int64 */
            peak_memory_p95_bytes: number;
            /** Format: int64 */
            runs: number;
        };
        VersionDiff: {
            changes: string[];
            from: string;
            to: string;
        };
        VersionList: {
            versions: components["schemas"]["DefinitionVersion"][];
        };
        WaitingRuns: {
            /** Format: int64 */
            count: number;
            runs: components["schemas"]["OverviewRun"][];
        };
        WorkerInfo: {
            /** Format: int64 */
            active: number;
            allow?: string[] | null;
            /** Format: int64 */
            claimed: number;
            commands: boolean;
            drain?: components["schemas"]["Drain"];
            /** Format: date-time */
            first_at: string;
            /** Format: double */
            free_cpus?: number;
            /** Format: int64 */
            free_memory_bytes?: number;
            host: string;
            labels: {
                [key: string]: string;
            };
            /** Format: date-time */
            last_at: string;
            live: boolean;
            name: string;
            /** Format: int64 */
            slots: number;
            version: string;
            withheld?: components["schemas"]["Gate"][] | null;
        };
        WorkerList: {
            workers: components["schemas"]["WorkerInfo"][];
        };
    };
}
