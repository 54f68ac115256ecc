// Package api holds what the server exchanges with its readers, the page and the command line, and
// with nobody else: the overview, comparisons of runs, policies and what they would do, definitions,
// routes of notifications and what is sent. What agents and journals use too is in package job.
//
// JSON names are the API's. The conventions are those of package job.
package api
