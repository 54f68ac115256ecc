// Package schedules makes the calls about when the server starts jobs by itself, and what it suggests about others.
package schedules

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/job/api"
)

const root = "/api/v1/schedules"

func schedulePath(name string, number int) string {
	return fmt.Sprintf("%s/%s/%d", root, url.PathEscape(name), number)
}

// List lists the schedules of a job, or of all jobs for "".
func List(ctx context.Context, c *client.Client, name string) (all []api.Schedule, err error) {
	v := url.Values{}
	if name != "" {
		v.Set("job", name)
	}
	for {
		var page struct {
			Schedules  []api.Schedule `json:"schedules"`
			NextCursor *string        `json:"next_cursor"`
		}
		if err := c.Get(ctx, root+"?"+v.Encode(), &page); err != nil {
			return nil, err
		}
		all = append(all, page.Schedules...)
		if page.NextCursor == nil {
			return all, nil
		}
		v.Set("cursor", *page.NextCursor)
	}
}

// Times lists the next n times of the schedules of a job, or of all jobs for "".
func Times(ctx context.Context, c *client.Client, name string, n int) ([]api.ScheduledTime, error) {
	v := url.Values{"n": {strconv.Itoa(n)}}
	if name != "" {
		v.Set("job", name)
	}
	var out struct {
		Times []api.ScheduledTime `json:"times"`
	}
	err := c.Get(ctx, root+"/times?"+v.Encode(), &out)
	return out.Times, err
}

// Occurrences lists what became of the times of a job's schedules in a period, the last first.
func Occurrences(ctx context.Context, c *client.Client, name string, from, to time.Time) ([]api.OccurrenceRecord, error) {
	v := url.Values{"from": {from.UTC().Format(time.RFC3339)}, "to": {to.UTC().Format(time.RFC3339)}, "limit": {"5000"}}
	var out struct {
		Occurrences []api.OccurrenceRecord `json:"occurrences"`
	}
	err := c.Get(ctx, root+"/"+url.PathEscape(name)+"/occurrences?"+v.Encode(), &out)
	return out.Occurrences, err
}

// Pause keeps a schedule from starting its job until Resume.
func Pause(ctx context.Context, c *client.Client, name string, number int, by, why string) (api.Schedule, error) {
	var out api.Schedule
	err := c.Send(ctx, http.MethodPost, schedulePath(name, number)+"/pause", map[string]string{"by": by, "why": why}, &out)
	return out, err
}

// Resume ends a pause.
func Resume(ctx context.Context, c *client.Client, name string, number int) (api.Schedule, error) {
	var out api.Schedule
	err := c.Send(ctx, http.MethodPost, schedulePath(name, number)+"/resume", nil, &out)
	return out, err
}

// Backfill makes the runs of times that have passed and have none. It returns the occurrences of the period, the last
// first.
func Backfill(ctx context.Context, c *client.Client, name string, b api.Backfill) ([]api.OccurrenceRecord, error) {
	var out struct {
		Occurrences []api.OccurrenceRecord `json:"occurrences"`
	}
	err := c.Send(ctx, http.MethodPost, root+"/"+url.PathEscape(name)+"/backfill", b, &out)
	return out.Occurrences, err
}
