// Package process starts the processes of an attempt, holds them together, signals them
// and says how they ended. It is the only place of the agent that makes processes.
//
// A Group contains all processes of one attempt, whatever they do to leave it, at the best
// level that the host and the agent's rights allow:
//
//   - cgroup2: a cgroup v2 leaf; the child is born in it (clone3), so nothing it starts can
//     be elsewhere. Memory and CPU limits come from its controllers, or from cgroup v1 groups
//     beside it on a host that has both.
//   - cgroup1: groups of the v1 hierarchies; the child is born in them too.
//   - process_group: a session per step, and the agent as the reaper of orphans, so that a
//     process that detaches itself becomes the agent's child and is found there.
//
// docs/adr/0003-containment.md has the reasons and the figures.
package process
