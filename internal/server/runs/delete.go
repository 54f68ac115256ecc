package runs

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// notReached is what a deletion does not reach, for the reply.
var notReached = []string{
	"Backups of the server have a copy until they are deleted; a database that is restored from one has it again.",
	"A host that has not delivered its journal keeps it until its agent or stint flush reaches the server.",
	"Notifications that were sent may quote the last lines of the output.",
	"The audit log and the log of the server have the reasons of cancellations.",
	"A bucket that keeps versions of objects, and copies of PostgreSQL such as replicas and archived write-ahead log, keep theirs.",
}

// DeleteRun deletes an ended run with everything that was derived from it. Its bytes are erased within 10 minutes.
func (s *Runs) DeleteRun(ctx context.Context, in *route.RunPath) (*route.Response[api.DeletedRun], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(in.Run, "#") && !strings.HasPrefix(id, strings.ToLower(in.Run)) {
		return nil, httpio.NewProblem(http.StatusBadRequest, "%s is not the id of a run: to delete one, write its id or job#number", job.Quote(in.Run))
	}
	by := deleter(ctx)
	at, err := s.Store.EraseRun(ctx, id, by)
	if err != nil {
		return nil, s.ProblemOf(ctx, "delete run "+id, err)
	}
	access.SetDetail(ctx, "run "+id)
	s.Notify(id)
	return route.OK(api.DeletedRun{Run: id, DeletedAt: at, DeletedBy: by, NotReached: slices.Clone(notReached)})
}

// DeleteJob deletes a job with all its runs. A deletion that was interrupted continues when it is
// requested again.
func (s *Runs) DeleteJob(ctx context.Context, in *route.JobPath) (*route.Response[api.DeletedJob], error) {
	if err := job.CheckName(in.Job); err != nil {
		return nil, httpio.AsProblem(err)
	}
	runs, err := s.Store.DeleteJob(ctx, in.Job, deleter(ctx))
	if err != nil {
		return nil, s.ProblemOf(ctx, "delete job "+job.Quote(in.Job), err)
	}
	return route.OK(api.DeletedJob{Job: in.Job, Runs: runs, NotReached: slices.Clone(notReached)})
}

// deleter returns who is recorded to have deleted something.
func deleter(ctx context.Context) string { return cmp.Or(access.CallerOf(ctx).Name, "somebody") }
