// Made by `make api-types` from the OpenAPI document of package server. Do not edit.

export interface components {
    schemas: {
        AppendReply: {
            /** Format: int64 */
            size: number;
            watched: boolean;
        };
        Cancel: {
            /** Format: date-time */
            at: string;
            by: string;
            why?: string;
        };
        CancelInBody: {
            /** @description Who asks. */
            by?: string;
            /** @description In their words. */
            why?: string;
        };
        Command: {
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
        EventList: {
            events: components["schemas"]["RunEvent"][];
        };
        Finding: {
            evidence: string;
            health: string;
            next?: string;
            /** Format: date-time */
            next_at?: string;
            rule: string;
            /** Format: date-time */
            since: string;
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
        HealthAnswer: {
            status: string;
            version: string;
        };
        Heartbeat: {
            /** Format: double */
            cpu_seconds: number;
            /** Format: int64 */
            memory_bytes: number;
            /** Format: int64 */
            output_age_ms: number;
            /** Format: int64 */
            period_ms: number;
            /** Format: int64 */
            processes: number;
            /** Format: int64 */
            scheduling_delay_ms: number;
            /** Format: date-time */
            sent_at: string;
            /** Format: int64 */
            sequence: number;
            /** Format: int64 */
            unsent_bytes: number;
            /** Format: int64 */
            uptime_ms: number;
        };
        HeartbeatReply: {
            commands: components["schemas"]["Command"][] | null;
            /** Format: int64 */
            lease_ms: number;
            /** Format: int64 */
            next_ms: number;
            owner: boolean;
            watched: boolean;
        };
        JobList: {
            jobs: components["schemas"]["Summary"][];
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
            errno?: string;
            /** Format: int64 */
            exit_code: number | null;
            message: string;
            oom?: components["schemas"]["OOM"];
            reason: string;
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
        };
        Pressure: {
            /** Format: double */
            cpu: number;
            /** Format: double */
            io: number;
            /** Format: double */
            memory: number;
        };
        Problem: {
            detail?: string;
            /** Format: int64 */
            size?: number;
            /** Format: int64 */
            status: number;
            title: string;
            type?: string;
        };
        Run: {
            agent_version: string;
            args: string[] | null;
            /** Format: int64 */
            attempt: number;
            cancel: components["schemas"]["Cancel"] | null;
            command: string;
            containment: string;
            /** Format: date-time */
            created_at: string;
            dir: string;
            /** Format: date-time */
            ended_at: string | null;
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
            /** Format: date-time */
            started_at: string | null;
            state: string;
            status: string;
            steps: components["schemas"]["Step"][] | null;
            usage: components["schemas"]["Usage"];
        };
        RunEvent: {
            /** Format: date-time */
            at: string;
            /** Format: int64 */
            attempt: number;
            clock: string;
            evidence: string;
            from: string;
            /** Format: int64 */
            id: number;
            kind: string;
            rule: string;
            run: string;
            to: string;
        };
        RunList: {
            /** @description Ask for the next page with this as cursor; null on the last page. */
            next_cursor: string | null;
            runs: components["schemas"]["Run"][];
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
        Summary: {
            /** Format: int64 */
            active: number;
            last_run: components["schemas"]["Run"] | null;
            /** Format: date-time */
            last_success_at: string | null;
            name: string;
            /** Format: int64 */
            runs: number;
            /** Format: int64 */
            succeeded: number;
            usual: components["schemas"]["Usual"] | null;
        };
        Usage: {
            /** Format: double */
            cpu_seconds: number;
            /** Format: int64 */
            memory_bytes: number;
            /** Format: int64 */
            peak_memory_bytes: number;
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
    };
}
