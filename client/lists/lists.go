// Package lists makes the calls that list jobs, notifications and the audit log in pages, and the call that returns the identity of the caller.
package lists

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/job/api"
)

// ActionPage is a page of notifications and actions, the newest first; NextCursor is 0 on the last one.
type ActionPage struct {
	Actions    []api.Action `json:"actions"`
	NextCursor int64        `json:"next_cursor,omitempty"`
}

// ActionsQuery filters notifications and actions. Zero fields do not filter.
type ActionsQuery struct {
	Run    string
	Status string // pending, done, failed or dropped
	Since  time.Time
	Until  time.Time
	Limit  int
	Cursor string
}

// Actions lists notifications and actions.
func Actions(ctx context.Context, c *client.Client, q ActionsQuery) (out ActionPage, err error) {
	path, v := "/api/v1/actions", period(q.Since, q.Until)
	if q.Run != "" {
		path = "/api/v1/runs/" + url.PathEscape(q.Run) + "/actions"
	}
	if q.Status != "" {
		v.Set("status", q.Status)
	}
	err = c.Get(ctx, path+page(v, q.Cursor, q.Limit), &out)
	return out, err
}

// AuditEntry is a change that a person or token made.
type AuditEntry struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Who     string    `json:"who"` // empty where the server needs no token
	Via     string    `json:"via"`
	Address string    `json:"address"`
	Action  string    `json:"action"` // method and route, or the command
	Target  string    `json:"target"` // the path
	Status  int       `json:"status"`
	Detail  string    `json:"detail,omitempty"`
}

// AuditPage is a page of the audit log, the newest entries first; NextCursor is 0 on the last one.
type AuditPage struct {
	Entries    []AuditEntry `json:"entries"`
	NextCursor int64        `json:"next_cursor,omitempty"`
}

// Audit lists the audit log, which needs the scope admin.
func Audit(ctx context.Context, c *client.Client, q AuditQuery) (out AuditPage, err error) {
	v := period(q.Since, q.Until)
	for name, text := range map[string]string{"who": q.Who, "q": q.Text} {
		if text != "" {
			v.Set(name, text)
		}
	}
	err = c.Get(ctx, "/api/v1/audit"+page(v, q.Cursor, q.Limit), &out)
	return out, err
}

// AuditQuery filters the audit log. Zero fields do not filter.
type AuditQuery struct {
	Who    string
	Text   string // in action, target or detail
	Since  time.Time
	Until  time.Time
	Limit  int
	Cursor string
}

// Caller is the identity under which the server takes a request.
type Caller struct {
	Name     string     `json:"name"`  // empty where the server needs no token
	Scope    string     `json:"scope"` // empty if the caller has to log in
	Via      string     `json:"via"`   // none, token, session or oidc
	Login    []string   `json:"login"`
	Server   string     `json:"server"`              // the id of the installation; empty from an older server
	CopiedAt *time.Time `json:"copied_at,omitempty"` // of a database that is a restored copy
}

// Me returns who the server thinks the caller is.
func Me(ctx context.Context, c *client.Client) (out Caller, err error) {
	err = c.Get(ctx, "/api/v1/me", &out)
	return out, err
}

// JobPage is a page of jobs; NextCursor is empty on the last one.
type JobPage struct {
	Jobs       []api.Summary `json:"jobs"`
	NextCursor string        `json:"next_cursor"`
}

// JobsQuery filters jobs. Zero fields do not filter.
type JobsQuery struct {
	Text   string   // in the name
	State  []string // of the last run
	Labels []string // K=V, of the last run; all must match
	Limit  int      // 0 is the server's own
	Cursor string
}

// Jobs lists jobs with what their runs have shown, in the order of names.
func Jobs(ctx context.Context, c *client.Client, q JobsQuery) (out JobPage, err error) {
	v := url.Values{}
	if q.Text != "" {
		v.Set("q", q.Text)
	}
	if len(q.State) > 0 {
		v["state"] = q.State
	}
	if len(q.Labels) > 0 {
		v["label"] = q.Labels
	}
	err = c.Get(ctx, "/api/v1/jobs"+page(v, q.Cursor, q.Limit), &out)
	return out, err
}

// period returns the query of a call for what happened in a period.
func period(since, until time.Time) url.Values {
	v := url.Values{}
	for name, at := range map[string]time.Time{"since": since, "until": until} {
		if !at.IsZero() {
			v.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	return v
}

// page returns the query of a call for a page.
func page(v url.Values, cursor string, limit int) string {
	if cursor != "" {
		v.Set("cursor", cursor)
	}
	if limit > 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}
