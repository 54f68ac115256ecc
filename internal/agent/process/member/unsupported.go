//go:build !linux && !darwin

package member

// The build ends here, with this name as the reason: containing a job's processes needs
// what only these systems offer.
var _ = the_agent_of_stint_runs_on_Linux_and_macOS_only
