// Package stint_test holds the rules of the repository that a linter cannot say: who may
// import whom, what belongs in one place only, and what the documentation may name.
package stint_test

import (
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "stint.dev/stint/"

// row says what a package may import besides the standard library, and why. A package that
// is not in the table fails the test: a new one is a decision, and its reason stands here.
type row struct {
	pkg     string
	imports string // packages of this module, by their path in it
	modules string // other modules, by prefix
	why     string
}

var table = []row{
	{"job", "", "", "the words and rules: everybody imports it, so it imports nobody"},
	{"job/api", "job", "", "replies and requests of the API that agents and journals do not use: job would be too large with them"},
	{"job/ref", "job", "", "pure: how a run is named, read; it knows no run"},
	{"journal", "job", "", "the format needs the words, and nothing else"},
	{"client", "client/address client/internal/compress client/internal/events client/internal/failover client/internal/reply client/internal/resume client/internal/transport job job/api", "", "programs outside the repository import it: words and the standard library, and zstd for slow links"},
	{"client/address", "job", "", "texts in, addresses out: for the client and for who reads them from options"},
	{"client/internal/failover", "", "", "which of several addresses a request goes to; it knows no calls but the one that asks for the installation"},
	{"client/internal/compress", "", "github.com/klauspost/compress", "bytes in, bytes out; it knows no calls"},
	{"client/internal/events", "job", "", "bytes of a live stream in, events out; the client makes the requests"},
	{"client/internal/reply", "job", "", "headers and bytes in, and whether a Stint server sent them; it knows no calls"},
	{"client/internal/resume", "job", "", "repeats requests for what was interrupted; the client sends them"},
	{"client/deletion", "client job/api", "", "calls of the API, by the client, which has the rules for all calls"},
	{"client/lists", "client job/api", "", "calls of the API, by the client, which has the rules for all calls"},
	{"client/schedules", "client job/api", "", "calls of the API, by the client, which has the rules for all calls"},
	{"client/internal/transport", "job", "golang.org/x/sys", "connections, and what TCP knows of them; it knows no calls"},
	{"client/internal/transport/transporttest", "", "", "connections without a network, for tests of the client"},

	{"internal/agent", "job journal client internal/agent/bounded internal/agent/cache internal/agent/delivery internal/agent/environment internal/agent/exit internal/agent/flush internal/agent/install internal/agent/measure internal/agent/overlap internal/agent/permit internal/agent/process internal/agent/process/member internal/agent/process/watch internal/agent/progress internal/agent/record internal/agent/redact internal/agent/report internal/agent/retry internal/agent/signals internal/agent/spool internal/agent/spool/owner internal/agent/stdio internal/agent/stop internal/agent/suspend internal/agent/text", "golang.org/x/sys", "wires its parts; the server is an interface that cli joins"},
	{"internal/agent/bounded", "", "", "one wait; knows nothing of Stint"},
	{"internal/agent/cache", "internal/agent/filelock internal/agent/freespace", "golang.org/x/sync golang.org/x/sys", "files and locks; it knows nothing of runs, so that list and prune need none"},
	{"internal/agent/delivery", "client job journal internal/agent/bounded internal/agent/spool internal/agent/statedir", "github.com/cenkalti/backoff/v7", "sends one journal and the heartbeats of one attempt; what answered in place of a server is an error of the client"},
	{"internal/agent/diagnose", "internal/agent/process/member internal/agent/process/procfs internal/agent/text job journal", "golang.org/x/sys", "reads what the kernel shows of processes, and writes notes"},
	{"internal/agent/environment", "internal/agent/bounded internal/agent/redact", "", "variables in, variables and masks out; of files it asks only whether they exist"},
	{"internal/agent/exit", "job", "", "a table of ends; it ends nothing itself"},
	{"internal/agent/filelock", "", "golang.org/x/sys", "one system call"},
	{"internal/agent/flush", "job journal internal/agent/delivery internal/agent/process/member internal/agent/process/watch internal/agent/spool internal/agent/spool/owner", "github.com/google/uuid", "delivers what waits in the spool; of a dead agent's job it ends the processes"},
	{"internal/agent/freespace", "", "golang.org/x/sys", "one system call"},
	{"internal/agent/gpu", "internal/agent/text job", "", "pure: what nvidia-smi printed in, figures out"},
	{"internal/agent/install", "internal/agent/bounded internal/agent/cache internal/agent/process internal/agent/statedir", "golang.org/x/sys", "asks the interpreters and the cache; notes and stops are the supervision's"},
	{"internal/agent/measure", "job journal internal/agent/bounded internal/agent/freespace internal/agent/gpu internal/agent/process internal/agent/sample", "golang.org/x/sys", "the figures of one attempt; the recorder is an interface"},
	{"internal/agent/notify", "internal/agent/bounded internal/agent/text", "golang.org/x/sys", "a socket and the words on it; knows nothing of runs"},
	{"internal/agent/overlap", "job internal/agent/bounded internal/agent/filelock internal/agent/process/member internal/agent/process/procfs internal/agent/signals internal/agent/spool/owner internal/agent/statedir", "", "tickets with locks, and the wait for a turn; where skipped starts are noted is a function"},
	{"internal/agent/permit", "client job internal/agent/delivery internal/clock", "", "one question to the server, and how long its answer holds; it starts nothing"},
	{"internal/agent/process", "job internal/typo internal/agent/bounded internal/agent/process/children internal/agent/process/contain internal/agent/process/member internal/agent/process/procfs internal/agent/process/watch", "golang.org/x/sys", "system calls and facts about an ending"},
	{"internal/agent/process/children", "internal/agent/process/member internal/agent/process/procfs", "golang.org/x/sys", "one registry per process: who makes a child, who waits for it, whose an orphan is"},
	{"internal/agent/process/contain", "job internal/agent/filelock internal/agent/process/children internal/agent/process/member internal/agent/process/procfs", "golang.org/x/sys", "cgroups and facts of the kernel; the group that is contained is an interface"},
	{"internal/agent/process/member", "internal/agent/process/procfs", "golang.org/x/sys", "what identifies a process: facts of the kernel, and a signal to exactly that one"},
	{"internal/agent/process/procfs", "", "golang.org/x/sys", "reads files of the kernel and knows nothing of Stint"},
	{"internal/agent/process/terminal", "", "golang.org/x/sys golang.org/x/term", "pseudo-terminals and the caller's own: system calls, and nothing of Stint"},
	{"internal/agent/progress", "journal internal/agent/environment internal/agent/notify internal/agent/process/member internal/agent/sample internal/agent/stall", "", "joins what the job reports and what is measured of it to one judgement"},
	{"internal/agent/process/watch", "internal/agent/process/children internal/agent/process/contain internal/agent/process/member internal/agent/process/procfs", "golang.org/x/sys", "a shell that outlives the agent, and a sweep; the group that is guarded is an interface"},
	{"internal/agent/signals", "internal/agent/process/procfs", "golang.org/x/sys", "what signals ask for, and system calls; knows nothing of jobs"},
	{"internal/agent/sample", "job internal/agent/process internal/agent/process/procfs", "golang.org/x/sys", "measures what process contains"},
	{"internal/agent/redact", "", "", "pure: names, values and bytes in, masked bytes out"},
	{"internal/agent/record", "job journal internal/agent/bounded internal/agent/redact internal/agent/sink internal/agent/spool internal/agent/spool/owner", "golang.org/x/sys", "writes into one journal, and to the caller's own output; it knows neither processes nor servers"},
	{"internal/agent/report", "client job internal/agent/delivery", "", "reports to a server of two calls; pauses, limits and redirects are as for the tracking server"},
	{"internal/agent/retry", "job", "", "pure: an outcome in, the time of the next attempt out"},
	{"internal/agent/suspend", "internal/agent/delivery internal/agent/signals", "", "joins the signals of a suspension to one decision; what stops the process is a function"},
	{"internal/agent/sink", "internal/agent/freespace", "golang.org/x/sys", "writes to descriptors of the caller; it knows neither jobs nor journals"},
	{"internal/agent/spool", "internal/agent/bounded job journal internal/agent/spool/disk internal/agent/spool/owner internal/agent/spool/room internal/agent/spool/segment internal/agent/statedir", "", "journals on disk; the system is behind disk and owner"},
	{"internal/agent/spool/disk", "internal/agent/filelock internal/agent/freespace", "golang.org/x/sys", "files and locks are system calls; it knows nothing of records"},
	{"internal/agent/spool/owner", "internal/agent/spool/disk", "golang.org/x/sys", "files with locks, and whether a process lives; it knows nothing of journals"},
	{"internal/agent/spool/room", "", "", "pure: sizes in, decisions out"},
	{"internal/agent/spool/segment", "job journal internal/agent/spool/disk", "", "the parts of one journal, in memory; their owner has the mutex and calls the disk"},
	{"internal/agent/statedir", "", "", "who owns a directory: the standard library says it"},
	{"internal/agent/stdio", "job internal/agent/bounded internal/agent/process/children internal/agent/process/terminal internal/agent/record", "golang.org/x/sys", "descriptors and terminals; which step runs, the supervision knows"},
	{"internal/agent/stall", "internal/agent/process/member internal/agent/process/procfs", "", "a judgement on what was seen; only the bytes that processes moved are read here"},
	{"internal/agent/stop", "job journal internal/agent/diagnose internal/agent/process/member", "", "what a stop does to the processes; who asked for it, the supervision knows"},
	{"internal/agent/text", "", "", "pure: bytes from outside in, text for people out"},

	{"internal/index", "job journal", "", "pure: journal bytes in, views out"},
	{"internal/query", "job job/api internal/index", "", "pure: what is asked of a store, what comes back, and how it is cut for lists and charts"},
	{"internal/band", "job", "", "pure: figures of good runs in, what is usual out"},
	{"internal/lease", "job internal/index internal/outbox", "", "pure: heartbeats and times in, evidence and verdicts out"},
	{"internal/outbox", "job job/api", "", "pure: a run and its events in, entries of the outbox out"},
	{"internal/typo", "", "", "names that are like a mistyped one; knows nothing of Stint"},
	{"internal/periodic", "", "", "pauses between rounds, and what the log says of them; knows nothing of Stint"},
	{"internal/heap", "internal/periodic", "", "how often the server collects garbage: no part of it decides"},
	{"internal/logs", "job journal internal/index internal/query", "", "a log needs blocks, and no HTTP"},
	{"internal/logs/ending", "internal/index internal/query job journal", "", "the end of a log needs blocks, and no HTTP"},
	{"internal/logs/search", "internal/index internal/logs internal/query job journal", "", "lines that match are found in blocks, without HTTP"},
	{"internal/logs/logstest", "internal/index internal/query job journal", "", "logs for tests, with a model beside them"},
	{"internal/access", "job internal/shares", "github.com/google/uuid golang.org/x/sys", "rules about tokens, sessions, local trust and scopes; one question to the kernel, whose connection it is"},
	{"internal/archive", "", "github.com/minio/minio-go/v7", "objects under keys; it knows nothing of journals"},
	{"internal/metrics", "", "", "counts and writes text; must do nothing at a program's start"},
	{"internal/store/datadir", "", "golang.org/x/sys", "names and locks of files; it knows nothing of databases"},
	{"internal/store/db", "job", "github.com/google/uuid github.com/jackc/pgx/v5 github.com/pressly/goose/v3 modernc.org/sqlite", "the only place that knows which databases there are"},
	{"internal/store/troubled", "job internal/clock internal/index internal/query internal/store/db", "", "one table that every part writes to"},
	{"internal/store/tables", "job job/api internal/due internal/index internal/query internal/store/db internal/definition", "", "rows, and no rule about when they change"},
	{"internal/store/blocks", "job journal internal/index internal/query internal/store/db internal/store/segment internal/store/tables", "github.com/klauspost/compress", "the bytes of journals; knows runs by their rows only"},
	{"internal/store/refs", "job job/ref internal/query internal/store/db internal/store/tables", "", "which run is meant; runs has what is asked of it"},
	{"internal/store/runs", "job job/api internal/band internal/index internal/lease internal/query internal/store/db internal/store/jobnames internal/store/tables internal/store/troubled", "", "reads only"},
	{"internal/store/jobnames", "job internal/index internal/query internal/store/db", "", "which jobs a list has; runs has what is shown of them"},
	{"internal/store/access", "internal/access internal/index internal/query internal/store/db", "", "tables of tokens touch no run"},
	{"internal/store/jobfigures", "job internal/query internal/store/db internal/store/tables", "", "reads figures of all jobs for metrics; runs has what people ask of a few"},
	{"internal/store/definitions", "job job/api internal/definition internal/index internal/query internal/store/db internal/store/outbox internal/store/queue internal/store/schedules internal/store/tables", "", "a definition and the policy that it brings are one transaction"},
	{"internal/store/groups", "job internal/index internal/query internal/queue internal/store/db", "", "limits and places; those that take and free places call it in their transactions"},
	{"internal/store/due", "job job/api internal/calendar internal/due internal/index internal/outbox internal/periodic internal/query internal/store/db internal/store/outbox internal/store/tables internal/store/troubled", "github.com/google/uuid", "rows of expectations, and the loop that looks at them; the rules are elsewhere"},
	{"internal/store/queue", "job internal/band internal/clock internal/definition internal/index internal/query internal/queue internal/store/db internal/store/groups internal/store/tables", "", "rows of what waits; parts that end runs or start them call it in their transactions"},
	{"internal/store/assign", "internal/queue internal/store/db internal/store/groups internal/store/queue internal/store/tables", "", "assigns ready runs, with the places of their groups, in the transaction of their claims"},
	{"internal/store/matcher", "job internal/index internal/periodic internal/query internal/queue internal/store/db internal/store/outbox internal/store/queue internal/store/tables", "", "the loop of the queue: an end without a start has the consequences of every end"},
	{"internal/store/outbox", "job job/api internal/clock internal/index internal/lease internal/outbox internal/query internal/store/db internal/store/groups internal/store/queue internal/store/runs internal/store/secretkey internal/store/tables internal/store/troubled", "", "a change of a run and what it asks for are one transaction"},
	{"internal/store/schedules", "job job/api internal/calendar internal/clock internal/definition internal/health/rules internal/index internal/outbox internal/periodic internal/policy internal/query internal/queue internal/schedule internal/store/db internal/store/queue internal/store/tables internal/store/troubled", "github.com/google/uuid", "rows of when jobs are started: a run, its occurrence and the next time are one transaction"},
	{"internal/store/claims", "job internal/access internal/clock internal/definition internal/index internal/outbox internal/periodic internal/query internal/queue internal/store/db internal/store/groups internal/store/outbox internal/store/queue internal/store/tables internal/store/assign", "github.com/google/uuid", "workers, claims and permits, and what follows an end: in transactions with the queue"},
	{"internal/store/health", "job internal/clock internal/index internal/lease internal/policy internal/query internal/queue internal/store/db internal/store/outbox internal/store/runs internal/store/tables internal/store/troubled", "", "rows of judgements; the rules are elsewhere"},
	{"internal/store/intake", "job journal internal/band internal/clock internal/index internal/lease internal/outbox internal/query internal/queue internal/store/beatlog internal/store/blocks internal/store/db internal/store/outbox internal/store/tables internal/store/troubled", "", "one group of appends and heartbeats, one transaction; nobody else knows which owners are known"},
	{"internal/store/retention", "internal/keep internal/policy internal/store/db", "", "rows of the limits of retention; what follows from them is a rule elsewhere"},
	{"internal/store/erase", "internal/store/db", "", "the files of two databases, and nothing of runs"},
	{"internal/store/maintenance", "job job/api journal internal/clock internal/index internal/keep internal/periodic internal/policy internal/query internal/store/blocks internal/store/datadir internal/store/db internal/store/erase internal/store/retention internal/store/runs internal/store/segment internal/store/tables internal/store/troubled", "github.com/google/uuid github.com/klauspost/compress", "what may be slow and is in no urgency; what it asks of other parts is an interface"},
	{"internal/store", "job internal/clock internal/keep internal/periodic internal/store/access internal/store/blocks internal/store/claims internal/store/datadir internal/store/db internal/store/definitions internal/store/due internal/store/groups internal/store/health internal/store/intake internal/store/jobfigures internal/store/maintenance internal/store/matcher internal/store/outbox internal/store/queue internal/store/retention internal/store/runs internal/store/troubled internal/store/schedules internal/query internal/store/refs", "github.com/google/uuid", "joins the parts of one open database"},
	{"internal/store/recovery", "job journal internal/index internal/query internal/store internal/store/blocks internal/store/datadir internal/store/db internal/store/intake internal/store/segment internal/store/tables", "github.com/google/uuid github.com/klauspost/compress", "copies and repairs a whole store, so it stands above it; no server links what it does not call"},
	{"internal/store/beatlog", "job internal/store/durable", "", "heartbeats in a file; it knows nothing of databases"},
	{"internal/store/durable", "", "golang.org/x/sys", "waits for the disk, for packages with files beside the database"},
	{"internal/store/secretkey", "internal/store/durable", "golang.org/x/sys", "keys in a file, and texts that they encrypt; it knows nothing of databases and routes"},
	{"internal/store/segment", "internal/store/durable", "golang.org/x/sys", "bytes in files; it knows nothing of databases"},
	{"internal/store/postgrestest", "", "github.com/jackc/pgx/v5", "a real PostgreSQL for tests"},
	{"internal/store/plantest", "internal/store/db internal/store/postgrestest", "", "query plans of large databases, for tests"},
	{"internal/shares", "", "", "shares of what is scarce; knows no HTTP"},
	{"internal/server", "job job/api internal/access internal/health internal/index internal/definition internal/lease internal/logs internal/metrics internal/query internal/shares internal/server/access internal/server/conns internal/server/definitions internal/server/due internal/server/health internal/server/httpio internal/server/intake internal/server/jobmetrics internal/server/live internal/server/logs internal/server/outbox internal/server/ping internal/server/queue internal/server/route internal/server/runs job/ref", "", "HTTP; the store is an interface that cli joins"},
	{"internal/server/httpio", "job journal internal/access internal/index internal/logs internal/outbox internal/query internal/shares job/ref", "github.com/klauspost/compress", "requests in, answers out; it knows no route and nobody who asks"},
	{"internal/server/conns", "job internal/access internal/lease internal/shares", "", "connections and whose they are; what is sent on them is for others"},
	{"internal/server/route", "internal/access internal/server/httpio", "github.com/danielgtaylor/huma/v2", "rows and their description; what a row does is for others"},
	{"internal/server/runs", "internal/access job job/api internal/band internal/lease internal/query internal/shares internal/server/httpio internal/server/route", "", "what is stored of runs and jobs, shown; it stores nothing but that one is deleted, and by whom"},
	{"internal/server/health", "job job/api journal internal/access internal/health/diagnose internal/health/rules internal/index internal/keep internal/policy internal/query internal/queue internal/shares internal/server/httpio internal/server/route", "", "asks the rules about stored runs; it judges nothing"},
	{"internal/server/queue", "job internal/access internal/definition internal/query internal/queue internal/shares internal/server/httpio internal/server/route", "", "requests in, answers out; what may start is decided by the store, by the rules of the queue"},
	{"internal/server/due", "job job/api internal/access internal/due internal/server/httpio internal/server/route", "", "requests in, answers out; what is missed is decided by the store, by the rules of due times"},
	{"internal/server/definitions", "job job/api internal/access internal/calendar internal/definition internal/policy internal/query internal/server/httpio internal/server/route", "", "reads texts and hands them to the store; what a definition means is elsewhere"},
	{"internal/server/outbox", "job job/api internal/access internal/outbox internal/query internal/server/httpio internal/server/route", "", "what people ask of runs, and routes; the worker that sends is an interface"},
	{"internal/server/access", "job internal/access internal/index internal/periodic internal/query internal/shares internal/server/conns internal/server/httpio internal/server/route", "github.com/coreos/go-oidc/v3 github.com/google/uuid golang.org/x/oauth2", "who sent a request and whether they may; what it asks for is for others"},
	{"internal/server/intake", "job journal internal/access internal/crontab internal/index internal/lease internal/metrics internal/queue internal/shares internal/server/conns internal/server/httpio internal/server/route", "github.com/klauspost/compress", "what agents send; who follows a run, and who may write to one, are interfaces"},
	{"internal/server/jobmetrics", "job internal/metrics internal/query internal/server/httpio internal/server/route", "", "figures of jobs as text; what is read of them is for the store"},
	{"internal/server/ping", "job job/api journal internal/access internal/due internal/index internal/lease internal/query internal/shares internal/server/httpio internal/server/route", "github.com/google/uuid", "wires drive runs through an interface"},
	{"internal/server/live", "job journal internal/access internal/index internal/logs internal/query internal/shares internal/server/httpio internal/server/route", "golang.org/x/sync", "streams of what was committed; who commits calls it"},
	{"internal/server/logs", "job internal/access internal/logs internal/logs/search internal/query internal/shares internal/server/httpio internal/server/route", "github.com/klauspost/compress", "what runs printed, over HTTP; lines and matches are found elsewhere"},
	{"internal/health", "job internal/clock internal/health/diagnose internal/health/rules internal/lease internal/outbox internal/periodic internal/policy internal/queue", "", "the loop that judges; the store is an interface"},
	{"internal/health/diagnose", "job job/api journal internal/health/rules internal/index internal/lease internal/logs/ending internal/policy internal/query", "", "reads one run and weighs causes; who is to be diagnosed, the monitor knows"},
	{"internal/health/rules", "job job/api internal/index internal/lease internal/outbox internal/policy internal/queue internal/schedule", "", "pure: a lease, a time and a policy in, a verdict out"},
	{"internal/yaml", "job", "", "text in, values out, every mistake with its place"},
	{"internal/keep", "", "", "pure: settings, rows and a time in, what is deleted and what waits out"},
	{"internal/policy", "job internal/keep internal/yaml", "", "text in, figures out, every mistake with its place"},
	{"internal/schedule", "job", "github.com/netresearch/go-cron", "pure: an expression, a zone and a time in, the next time out"},
	{"internal/jobname", "job", "", "pure: a command in, the name of its job out"},
	{"internal/crontab", "internal/jobname job", "", "pure: a crontab in, jobs, names and another crontab out"},
	{"internal/due", "job job/api internal/schedule", "", "pure: an expectation, a due time and what is known of starts in, a verdict out"},
	{"internal/calendar", "job/api internal/due internal/schedule", "", "pure: occurrences, rules and starts in, days of a zone out"},
	{"internal/definition", "job job/api internal/policy internal/schedule internal/yaml", "", "text in, a definition out, every mistake with its place; the values of its parameters"},
	{"internal/notify", "job job/api internal/clock internal/logs/ending internal/notify/message internal/notify/quiet internal/outbox internal/periodic internal/query", "github.com/standard-webhooks github.com/nicholas-fedor/shoutrrr", "the outbox worker and its channels"},
	{"internal/notify/message", "job job/api internal/outbox", "", "pure: rows of the outbox and runs in, a message out"},
	{"internal/notify/quiet", "job/api internal/schedule", "", "pure: the hours of a route and a time in, when they end out"},
	{"internal/clock", "", "golang.org/x/sys", "how far the clocks of servers differ, and whether one was set; pure but for SinceBoot"},
	{"internal/web", "", "", "serves embedded files"},
	{"internal/demo/tour", "job client internal/agent/process/children internal/cli/console", "", "asks a server over its API and starts workers, as a person would"},
	{"internal/demo", "job", "golang.org/x/sync", "the job of stint demo is a program like any other and knows nothing of servers"},

	{"internal/queue", "job internal/clock", "", "pure: runs, workers and times in, what may start and what follows an end out"},
	{"internal/worker", "job internal/agent/bounded internal/agent/filelock internal/clock internal/agent/process/children internal/agent/process/member internal/agent/process/procfs internal/agent/spool internal/agent/statedir", "github.com/google/uuid golang.org/x/sys", "takes runs and starts agents; what an agent does, and which server it is, others know"},

	{"internal/cli/option", "", "github.com/spf13/pflag", "options: flag, environment and help from one row"},
	{"internal/cli/configfile", "internal/agent/bounded internal/cli/option internal/typo", "", "configuration files of agents and clients; the waits for them are limited"},
	{"internal/cli/console", "job internal/agent/sink", "golang.org/x/term golang.org/x/sys golang.org/x/text", "tables, colours and progress for people; how wide a text is says a table of Unicode"},
	{"internal/cli/clitest", "internal/cli/configfile internal/cli/console", "github.com/spf13/cobra", "runs commands, for tests"},
	{"internal/cli/await", "job client internal/agent/exit internal/cli/console", "", "waits for runs over the API; the exit codes are those of the agent"},
	{"internal/cli/command", "internal/due job job/ref client client/address internal/agent/bounded internal/agent/process internal/cli/configfile internal/cli/option internal/cli/console", "github.com/spf13/cobra", "the options that lead to a server, the client made of them, and checks of arguments, for both programs"},
	{"internal/cli/exitcode", "job client internal/cli/option internal/cli/console", "github.com/spf13/cobra", "the exit codes of all commands, in help and documentation too"},
	{"internal/cli/completion", "job client client/lists internal/agent/bounded internal/cli/command internal/cli/console internal/cli/option", "github.com/spf13/cobra github.com/spf13/pflag", "what can be typed next; asks a server for at most a moment"},
	{"internal/cli/help", "internal/cli/command internal/cli/console internal/cli/exitcode internal/cli/option", "github.com/spf13/cobra github.com/spf13/pflag", "how commands are used; without text/template, which Cobra's own needs"},
	{"internal/cli/doctor", "job client internal/agent/bounded internal/agent/freespace internal/agent/process internal/agent/process/contain internal/agent/spool internal/cli/console", "golang.org/x/sys", "checks a host for an agent; it reads no options and prints nothing"},
	{"internal/cli/announce", "job client internal/agent/bounded internal/agent/delivery internal/cli/command internal/cli/console", "", "what a run is called where it starts; it supervises nothing"},
	{"internal/cli/agentcmd", "job journal client client/address internal/agent internal/agent/bounded internal/agent/cache internal/agent/delivery internal/agent/environment internal/agent/flush internal/agent/overlap internal/agent/permit internal/agent/process internal/agent/process/contain internal/agent/process/member internal/agent/process/watch internal/agent/report internal/agent/retry internal/agent/signals internal/agent/spool/owner internal/agent/statedir internal/agent/stdio internal/agent/stop internal/cli/announce internal/cli/command internal/cli/configcmd internal/cli/doctor internal/cli/option internal/cli/console internal/cli/croncmd internal/cli/example internal/cli/exitcode internal/cli/help internal/cli/systemlog internal/cli/workercmd internal/crontab internal/jobname internal/worker", "github.com/google/uuid github.com/spf13/cobra golang.org/x/term", "the commands of stint-agent: links no server, no store and no page"},
	{"internal/cli/systemlog", "internal/crontab", "", "one writer with a bound; the name under which it writes is that of the shell of cron"},
	{"internal/cli/workercmd", "job client client/address internal/agent/delivery internal/agent/flush internal/definition internal/agent/process internal/agent/spool/owner internal/cli/command internal/cli/console internal/cli/option internal/worker", "github.com/spf13/cobra", "the commands about workers, for both programs: links no server"},
	{"internal/cli/configcmd", "internal/agent/redact internal/cli/command internal/cli/configfile internal/cli/console internal/cli/option", "github.com/spf13/cobra github.com/spf13/pflag", "shows options and where they come from, for both programs: asks no server"},
	{"internal/cli/croncmd", "job job/api internal/agent/process internal/cli/command internal/cli/console internal/cli/option internal/crontab internal/schedule", "github.com/spf13/cobra", "the commands about crontabs, for both programs: links no server"},
	{"internal/cli/defcmd", "job job/api client internal/cli/await internal/cli/command internal/cli/option internal/cli/console internal/definition client/schedules internal/jobname internal/schedule", "github.com/google/uuid github.com/spf13/cobra", "hands definitions and submissions to a server over its API; the schema is its own"},
	{"internal/cli/importcmd", "job job/api client/lists internal/cli/command internal/cli/console internal/cli/option internal/due", "github.com/spf13/cobra", "reads another tracker and asks a server over its API; by the rules of expectations it knows what cannot be taken over"},
	{"internal/cli/jobcmd", "job job/api client client/deletion client/lists client/schedules internal/cli/command internal/cli/option internal/cli/console internal/policy", "github.com/spf13/cobra", "asks a server over its API; of the server's packages it takes the size of a policy"},
	{"internal/cli/notifycmd", "job job/api client client/lists internal/cli/command internal/cli/option internal/cli/console internal/notify", "github.com/spf13/cobra", "asks a server over its API; of the server's packages it takes the names of events"},
	{"internal/cli/runcmd", "job job/api client internal/cli/command internal/cli/option internal/cli/console internal/cli/await", "github.com/spf13/cobra", "asks a server over its API"},
	{"internal/cli/accesscmd", "client client/lists internal/cli/command internal/cli/exitcode internal/cli/option internal/cli/console", "github.com/spf13/cobra", "asks a server over its API"},
	{"internal/cli/healthcmd", "job job/api client internal/cli/command internal/cli/console internal/cli/option", "github.com/spf13/cobra", "asks a server over its API; knows the server's options only by their names in the environment"},
	{"internal/cli/keepopts", "job internal/keep internal/store/maintenance internal/store/retention internal/cli/console internal/cli/option", "", "the options about what is kept, and what they would delete as text"},
	{"internal/cli/servercmd", "job client internal/access internal/archive internal/demo internal/demo/tour internal/health internal/heap internal/keep internal/lease internal/logs/ending internal/notify internal/periodic internal/query internal/server internal/store internal/store/recovery internal/store/retention internal/web internal/cli/command internal/cli/exitcode internal/cli/keepopts internal/cli/option internal/cli/console internal/server/conns internal/server/access internal/server/jobmetrics", "github.com/spf13/cobra golang.org/x/sync", "joins the parts of the server"},
	{"internal/cli/deletecmd", "client client/deletion internal/cli/command internal/cli/console internal/cli/option job job/api", "github.com/spf13/cobra", "commands that delete ask a server, through the client"},
	{"internal/cli", "internal/agent/signals internal/cli/accesscmd internal/cli/agentcmd internal/cli/command internal/cli/completion internal/cli/console internal/cli/defcmd internal/cli/deletecmd internal/cli/example internal/cli/healthcmd internal/cli/importcmd internal/cli/jobcmd internal/cli/notifycmd internal/cli/runcmd internal/cli/servercmd", "github.com/spf13/cobra", "joins the commands"},
	{"internal/cli/manual", "internal/cli/exitcode internal/cli/option", "github.com/spf13/cobra github.com/spf13/pflag", "manual pages and the reference are made from commands, whatever they do"},
	{"internal/cli/example", "", "github.com/spf13/cobra", "the examples of all commands, in help and documentation too"},
	{"internal/cli/manpages", "internal/cli internal/cli/manual", "", "a program of the release, which describes the programs; no product links it"},
	{"internal/e2e", "job client", "", "drives the real programs from outside; tests only"},
	{"internal/faulttest", "", "", "drives the real programs through faults; tests only"},

	{"internal/bench", "job journal internal/bench/due internal/bench/fill internal/bench/fleet internal/bench/host internal/store", "", "measures the built programs from outside; no product links it"},
	{"internal/bench/fill", "job journal internal/access internal/bench/fleet internal/definition internal/index internal/store", "github.com/google/uuid", "fills databases before a server starts on them"},
	{"internal/bench/due", "job journal internal/bench/fill internal/bench/fleet internal/bench/host internal/store", "", "a measurement of its own size; it counts in the database what the server has done"},
	{"internal/bench/host", "internal/store internal/store/postgrestest", "", "builds and starts the programs that are measured, and knows no measurement"},
	{"internal/bench/loop", "", "github.com/jackc/pgx/v5 modernc.org/sqlite", "the yardstick must not share what it measures"},
	{"internal/bench/fleet", "job journal", "", "speaks the wire by itself, because the client would take more of the machine that measures"},
	{"internal/bench/wrapper", "", "", "the yardstick must not share what it measures"},
	{"internal/bench/noop", "", "", "the yardstick must not share what it measures"},

	{"internal/faulttest/machine", "", "", "a kernel for tests; knows nothing of Stint"},
	{"internal/faulttest/deadfs", "", "golang.org/x/sys", "a mount for tests; knows nothing of Stint"},
	{"internal/faulttest/extreme", "", "", "documents with extreme values, for the tests of several packages"},
	{"internal/faulttest/sequence", "", "", "what must be printed; the job and its later readers share it"},
	{"internal/faulttest/printer", "internal/faulttest/sequence", "", "a job whose output can be verified; knows nothing of Stint"},

	{"cmd/stint", "internal/cli", "", "os.Exit(cli.Main(…)) and nothing else"},
	{"cmd/stint-agent", "internal/cli/agentcmd", "", "the same with the agent's commands only"},
	{"", "", "", "the root holds this test only"},
}

func TestImportTable(t *testing.T) {
	rows := map[string]row{}
	for _, r := range table {
		if r.why == "" || rows[r.pkg].why != "" {
			t.Errorf("the row of %q is there twice or gives no reason", r.pkg)
		}
		rows[r.pkg] = r
	}
	for _, f := range goFiles(t) {
		r, known := rows[f.pkg]
		if !known {
			t.Errorf("%s: package %q is not in the import table", f.path, f.pkg)
			continue
		}
		if f.test {
			continue // tests may join what production code may not
		}
		for _, imp := range f.imports {
			if own, ok := strings.CutPrefix(imp, module); ok {
				if !slices.Contains(strings.Fields(r.imports), own) {
					t.Errorf("%s imports %s, which the table does not allow: %s", f.path, own, r.why)
				}
				continue
			}
			if strings.Contains(strings.Split(imp, "/")[0], ".") && !slices.ContainsFunc(strings.Fields(r.modules), func(m string) bool {
				return imp == m || strings.HasPrefix(imp, m+"/")
			}) {
				t.Errorf("%s imports %s, which the table does not allow: %s", f.path, imp, r.why)
			}
		}
	}
}

// layers are the packages from the lowest layer up. A package imports those of lower layers
// only, so that there is no circle, and a reader of one layer needs none above it.
var layers = []string{
	0:  "internal/cli/example client/internal/compress client/internal/failover client/internal/transport/transporttest internal/periodic internal/agent/bounded internal/agent/filelock internal/agent/freespace internal/agent/process/procfs internal/agent/process/terminal internal/agent/redact internal/agent/spool/room internal/agent/statedir internal/agent/text internal/archive internal/bench/loop internal/bench/noop internal/bench/wrapper internal/cli/option internal/clock internal/faulttest internal/faulttest/deadfs internal/faulttest/extreme internal/faulttest/machine internal/faulttest/sequence internal/keep internal/metrics internal/shares internal/store/datadir internal/store/durable internal/store/postgrestest internal/typo internal/web job",
	1:  "client/address client/internal/events client/internal/reply client/internal/transport client/internal/resume internal/access internal/agent/cache internal/agent/environment internal/agent/exit internal/agent/gpu internal/agent/notify internal/agent/process/member internal/agent/retry internal/agent/signals internal/agent/sink internal/agent/spool/disk internal/band internal/cli/configfile internal/demo internal/faulttest/printer internal/heap internal/jobname internal/queue internal/store/beatlog internal/store/db internal/store/secretkey internal/store/segment internal/schedule internal/yaml job/api job/ref journal",
	2:  "client internal/crontab internal/bench/fleet internal/agent/process/children internal/agent/spool/owner internal/agent/spool/segment internal/cli/console internal/index internal/outbox internal/policy internal/store/plantest internal/due",
	3:  "client/lists internal/cli/await internal/agent/overlap internal/cli/systemlog internal/cli/exitcode client/deletion client/schedules internal/cli/clitest internal/demo/tour internal/e2e internal/agent/process/contain internal/agent/spool internal/calendar internal/definition internal/lease internal/notify/message internal/notify/quiet internal/query",
	4:  "internal/cli/manual internal/agent/delivery internal/health/rules internal/agent/process/watch internal/agent/record internal/logs internal/logs/ending internal/logs/logstest internal/server/conns internal/store/access internal/store/erase internal/store/groups internal/store/jobnames internal/store/tables internal/store/troubled",
	5:  "internal/agent/permit internal/agent/process internal/agent/report internal/agent/stdio internal/agent/suspend internal/health/diagnose internal/logs/search internal/notify internal/server/httpio internal/store/blocks internal/store/jobfigures internal/store/queue internal/store/retention internal/store/refs internal/store/runs",
	6:  "internal/agent/diagnose internal/agent/flush internal/agent/install internal/agent/sample internal/agent/stall internal/cli/command internal/cli/doctor internal/health internal/server/route internal/store/maintenance internal/store/outbox internal/store/schedules internal/store/assign",
	7:  "internal/cli/configcmd internal/cli/healthcmd internal/cli/keepopts internal/cli/accesscmd internal/cli/completion internal/cli/announce internal/cli/help internal/cli/croncmd internal/cli/deletecmd internal/worker internal/agent/measure internal/agent/progress internal/agent/stop internal/cli/defcmd internal/cli/importcmd internal/cli/jobcmd internal/cli/notifycmd internal/cli/runcmd internal/server/access internal/server/definitions internal/server/health internal/server/intake internal/server/jobmetrics internal/server/live internal/server/logs internal/server/outbox internal/server/ping internal/server/queue internal/server/runs internal/store/claims internal/store/definitions internal/store/health internal/store/intake internal/store/matcher internal/server/due internal/store/due",
	8:  "internal/agent internal/cli/workercmd internal/server internal/store",
	9:  "internal/bench/fill internal/bench/host internal/cli/agentcmd internal/store/recovery",
	10: "internal/bench/due cmd/stint-agent internal/cli/servercmd",
	11: "internal/bench internal/cli",
	12: "cmd/stint internal/cli/manpages",
}

func TestImportsGoToLowerLayers(t *testing.T) {
	number := map[string]int{}
	for n, names := range layers {
		for _, pkg := range strings.Fields(names) {
			if _, twice := number[pkg]; twice {
				t.Errorf("%q is in two layers", pkg)
			}
			number[pkg] = n
		}
	}
	for _, r := range table {
		n, known := number[r.pkg]
		if !known && r.pkg != "" {
			t.Errorf("%q has no layer: add it to layers, above everything that it may import", r.pkg)
		}
		for _, below := range strings.Fields(r.imports) {
			if m, known := number[below]; !known || m >= n {
				t.Errorf("%q, in layer %d, may import %q, in layer %d: imports go to lower layers", r.pkg, n, below, m)
			}
		}
	}
}

const (
	mostPackageLines = 2000
	mostPackageFiles = 20
)

func TestPackagesAreSmall(t *testing.T) {
	type size struct{ lines, files int }
	sizes := map[string]size{}
	for _, f := range goFiles(t) {
		if !f.test {
			s := sizes[f.pkg]
			sizes[f.pkg] = size{s.lines + f.length, s.files + 1}
		}
	}
	for pkg, s := range sizes {
		if s.lines > mostPackageLines || s.files > mostPackageFiles {
			t.Errorf("package %q has %d lines in %d files without tests; the most is %d in %d: split it by subject", pkg, s.lines, s.files, mostPackageLines, mostPackageFiles)
		}
	}
}

// places are things that may be used in one place only.
var places = []struct {
	use   string // an import path, or import path + "." + name
	where []string
	why   string
}{
	{"os/exec", []string{"internal/bench", "internal/faulttest/deadfs", "internal/faulttest/machine"}, "processes are made in internal/agent/process/children, known to the reaper; the benchmarks' yardstick is without, and tests mount file systems and boot machines with programs"},
	{"os.StartProcess", []string{"internal/agent/process/children"}, "the reaper must know of each child that somebody waits for"},
	{"database/sql", []string{"internal/store/access", "internal/store/assign", "internal/store/blocks", "internal/store/claims", "internal/store/db", "internal/store/definitions", "internal/store/due", "internal/store/erase", "internal/store/health", "internal/store/intake", "internal/store/jobfigures", "internal/store/maintenance", "internal/store/matcher", "internal/store/outbox", "internal/store/queue", "internal/store/recovery", "internal/store/refs", "internal/store/retention", "internal/store/runs", "internal/store/schedules", "internal/store/tables", "internal/bench/loop"}, "those who query: statements stand with what they are about"},
	{"modernc.org/sqlite", []string{"internal/store/db", "internal/bench/loop"}, "one package knows the drivers; the benchmarks' yardstick is without it"},
	{"github.com/jackc/pgx/v5", []string{"internal/store/db", "internal/bench/loop"}, "one package knows the drivers; the benchmarks' yardstick is without it"},
	{"os.Getenv", []string{"internal/cli", "cmd"}, "the environment is read where options are"},
	{"os.LookupEnv", []string{"internal/cli", "cmd"}, "the environment is read where options are"},
	{"os.Args", []string{"internal/cli", "cmd", "internal/bench"}, "arguments are read where options are"},
	{"os.Exit", []string{"internal/cli", "cmd", "internal/bench", "internal/faulttest/printer"}, "an exit skips the clean-up of all others"},
	{"log.Fatal", nil, "an exit skips the clean-up of all others"},
	{"os/signal", []string{"internal/agent/signals", "internal/cli"}, "signals have one owner: of the agent's process, and of the other commands'"},
	{"testing", nil, "production code does not link the test library"},
	{"time.Sleep", []string{"internal/agent", "internal/demo"}, "waiting has a context; only the lazy drain and the demo's job pause"},
	{"unsafe", []string{"internal/agent/process", "internal/agent/signals"}, "only system calls need it"},
}

func TestThingsThatBelongInOnePlace(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		for _, rule := range places {
			if f.uses(rule.use) && !slices.ContainsFunc(rule.where, func(w string) bool {
				return f.pkg == w || strings.HasPrefix(f.pkg, w+"/")
			}) {
				allowed := strings.Join(rule.where, ", ")
				if allowed == "" {
					allowed = "nowhere"
				}
				t.Errorf("%s uses %s; allowed: %s (%s)", f.path, rule.use, allowed, rule.why)
			}
		}
	}
}

// The domain has no IO and no clock; the format has no files and no network of its own.
func TestPurePackages(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test || !slices.Contains([]string{"job", "job/api", "job/ref", "journal", "internal/index", "internal/band", "internal/health/rules", "internal/lease", "internal/notify/message", "internal/outbox", "internal/query", "internal/yaml", "internal/keep", "internal/policy", "internal/schedule", "internal/jobname", "internal/crontab", "internal/due", "internal/calendar", "internal/definition", "internal/queue", "internal/agent/redact", "internal/agent/retry", "internal/agent/spool/room"}, f.pkg) {
			continue
		}
		for _, bad := range []string{"os", "net", "time.Now", "time.Since", "time.After", "time.NewTimer", "time.NewTicker", "math/rand", "math/rand/v2", "sync", "context", "log/slog"} {
			if f.uses(bad) {
				t.Errorf("%s uses %s; this package is a pure function of its arguments", f.path, bad)
			}
		}
	}
}

func TestEveryPackageHasOneComment(t *testing.T) {
	comments := map[string][]string{}
	seen := map[string]bool{}
	for _, f := range goFiles(t) {
		if f.test && f.pkg != "" && f.pkg != "internal/e2e" {
			continue // the tests of a package are described by the package
		}
		seen[f.pkg] = true
		if f.comment {
			comments[f.pkg] = append(comments[f.pkg], f.path)
		}
	}
	for pkg := range seen {
		if pkg == "internal/store/postgrestest" {
			continue // counted as tests, described all the same
		}
		if n := len(comments[pkg]); n != 1 {
			t.Errorf("package %q has %d package comments, want exactly one: %v", pkg, n, comments[pkg])
		}
	}
}

func TestNoSleepInTests(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test && f.uses("time.Sleep") {
			t.Errorf("%s sleeps: wait for an event, or use testing/synctest", f.path)
		}
	}
}

func TestNoPackageIsADrawer(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, part := range strings.Split(f.pkg, "/") {
			if slices.Contains([]string{"util", "utils", "common", "helpers", "helper", "misc", "types", "base", "shared", "lib"}, part) {
				t.Errorf("%s: a package called %q says nothing of what is in it", f.path, part)
			}
		}
	}
}

// stint-agent is for those who count bytes: what it links is a promise.
func TestAgentLinksNoServer(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./cmd/stint-agent").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, module+"internal/agent") {
		t.Error("stint-agent does not link the agent")
	}
	for _, dep := range deps {
		for _, bad := range []string{
			"modernc.org", "github.com/jackc", "github.com/pressly", "github.com/danielgtaylor/huma",
			module + "internal/server", module + "internal/store", module + "internal/web", module + "internal/index", module + "internal/lease", module + "internal/outbox", module + "internal/query", module + "internal/health", module + "internal/demo",
		} {
			// database/sql itself; its small package of interfaces comes with the ids.
			if dep == "database/sql" || dep == bad || strings.HasPrefix(dep, bad+"/") {
				t.Errorf("stint-agent links %s", dep)
			}
		}
	}
}

// The two databases have the same migrations by number and name.
func TestMigrationsArePaired(t *testing.T) {
	names := func(engine string) []string {
		var all []string
		for _, p := range tracked(t, ".sql") {
			if strings.HasPrefix(p, "internal/store/db/migrations/"+engine+"/") {
				all = append(all, path.Base(p))
			}
		}
		return all
	}
	sqlite, postgres := names("sqlite"), names("postgres")
	if len(sqlite) == 0 || !slices.Equal(sqlite, postgres) {
		t.Errorf("sqlite has %v, postgres has %v", sqlite, postgres)
	}
}
