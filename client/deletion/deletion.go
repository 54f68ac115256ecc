// Package deletion makes the calls that delete runs and jobs for good.
package deletion

import (
	"context"
	"net/http"
	"net/url"

	"stint.dev/stint/client"
	"stint.dev/stint/job/api"
)

// Run deletes a run that has ended.
func Run(ctx context.Context, c *client.Client, ref string) (out api.DeletedRun, err error) {
	err = c.Send(ctx, http.MethodDelete, "/api/v1/runs/"+url.PathEscape(ref), nil, &out)
	return out, err
}

// Job deletes a job with all its runs, of which none may be active.
func Job(ctx context.Context, c *client.Client, name string) (out api.DeletedJob, err error) {
	err = c.Send(ctx, http.MethodDelete, "/api/v1/jobs/"+url.PathEscape(name), nil, &out)
	return out, err
}
