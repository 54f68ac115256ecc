// Package job holds the words of Stint as types, and the rules that need nothing but
// their arguments: which state follows which, how an ending is classified, what a valid
// name is. It uses the standard library only, does no IO and reads no clock.
//
// The words, used in code, API, page and documentation with no synonyms:
//
//   - job: a named piece of work that runs again and again.
//   - run: one intended execution of a job, numbered 1, 2, 3 … per job.
//   - attempt: one try at a run by one agent; its number is the fencing token.
//   - step: a phase of an attempt with its own process: install steps, then the command.
//   - agent: the process that supervises one attempt (stint run).
//   - server: the tracking server (stint server).
//   - journal: the append-only record of one attempt (package journal).
//   - stream: stdout or stderr of a step.
//   - sample: CPU, memory and IO of the whole process tree at one instant.
//   - heartbeat: "alive, and here is the evidence"; renews the lease.
//   - lease: the server's time-limited trust in an attempt, counted on the server's clock.
//   - state, outcome, health, finding: where a run is, how an attempt ended, what the
//     server thinks of an active run, and one rule that holds now.
//   - gap: output that could not be kept: place, bytes, lines, reason.
//
// JSON names are the API's and the journal's: there is one definition of each type, so
// agent, server and client cannot drift apart. Times are UTC; durations carry their unit
// in their name; sizes are bytes.
package job
