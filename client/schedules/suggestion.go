package schedules

import (
	"context"
	"net/http"
	"net/url"

	"stint.dev/stint/client"
	"stint.dev/stint/job/api"
)

func suggestionPath(name string) string {
	return "/api/v1/jobs/" + url.PathEscape(name) + "/due/suggestion"
}

// SuggestDue returns the expectation that the starts of a job fit which nobody expects. zone is a time zone in which its
// crontab may be, besides UTC; empty for none.
func SuggestDue(ctx context.Context, c *client.Client, name, zone string) (out api.DueSuggestion, err error) {
	err = c.Get(ctx, suggestionPath(name)+"?zone="+url.QueryEscape(zone), &out)
	return out, err
}

// DismissSuggestion suggests no expectation for a job any more.
func DismissSuggestion(ctx context.Context, c *client.Client, name string) error {
	return c.Send(ctx, http.MethodDelete, suggestionPath(name), nil, nil)
}
