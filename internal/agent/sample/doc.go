// Package sample measures CPU, memory and IO of the whole process tree of an attempt at one
// instant: from the files of its cgroups where it has some, else by a walk over the agent's
// descendants in /proc.
package sample
