package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"stint.dev/stint/job/api"
)

// applyTimeout bounds an apply: a large set takes its time on a slow link.
const applyTimeout = 2 * time.Minute

func definitionPath(name string) string { return "/api/v1/definitions/" + url.PathEscape(name) }

// Apply sets definitions, all or none. Mistakes in them are a *job.Problem with all their places.
func (c *Client) Apply(ctx context.Context, in api.ApplyRequest) (api.ApplyReply, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	var out api.ApplyReply
	body, err := json.Marshal(in)
	if err != nil {
		return out, fmt.Errorf("encode definitions: %w", err)
	}
	err = c.do(ctx, http.MethodPost, "/api/v1/definitions", "application/json", body, &out)
	return out, err
}

// DefinitionPage is a page of definitions; NextCursor is empty on the last one.
type DefinitionPage struct {
	Definitions []api.DefinedJob `json:"definitions"`
	NextCursor  string           `json:"next_cursor"`
}

// Definitions lists definitions without their texts, in the order of jobs, from a cursor on; those
// of one source unless that is empty. A limit of 0 is the server's own.
func (c *Client) Definitions(ctx context.Context, source, cursor string, limit int) (DefinitionPage, error) {
	v := url.Values{}
	for name, value := range map[string]string{"source": source, "cursor": cursor} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if limit > 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	path := "/api/v1/definitions"
	if len(v) > 0 {
		path += "?" + v.Encode()
	}
	var out DefinitionPage
	err := c.Get(ctx, path, &out)
	return out, err
}

// Definition returns the definition of a job as it is, or as the version whose hash begins with
// some digits.
func (c *Client) Definition(ctx context.Context, name, version string) (api.DefinedJob, error) {
	path := definitionPath(name)
	if version != "" {
		path += "?version=" + url.QueryEscape(version)
	}
	var out api.DefinedJob
	err := c.Get(ctx, path, &out)
	return out, err
}

// DefinitionVersions lists the versions of a definition, the last first.
func (c *Client) DefinitionVersions(ctx context.Context, name string) ([]api.DefinitionVersion, error) {
	var out struct {
		Versions []api.DefinitionVersion `json:"versions"`
	}
	err := c.Get(ctx, definitionPath(name)+"/versions", &out)
	return out.Versions, err
}

// DefinitionDiff is what differs between two versions of a definition.
type DefinitionDiff struct {
	From    string   `json:"from"`
	To      string   `json:"to"`
	Changes []string `json:"changes"`
}

// DiffDefinition compares two versions, by their hashes or the first digits of them. An empty to is
// the present one.
func (c *Client) DiffDefinition(ctx context.Context, name, from, to string) (DefinitionDiff, error) {
	v := url.Values{"from": {from}, "to": {to}}
	var out DefinitionDiff
	err := c.Get(ctx, definitionPath(name)+"/diff?"+v.Encode(), &out)
	return out, err
}

// DeleteDefinition deletes the definition of a job. Its runs stay.
func (c *Client) DeleteDefinition(ctx context.Context, name string) error {
	return c.Send(ctx, http.MethodDelete, definitionPath(name), nil, nil)
}

// PauseJob keeps a job from being started until ResumeJob.
func (c *Client) PauseJob(ctx context.Context, name, by, why string) (api.DefinedJob, error) {
	var out api.DefinedJob
	err := c.Send(ctx, http.MethodPost, definitionPath(name)+"/pause", map[string]string{"by": by, "why": why}, &out)
	return out, err
}

// ResumeJob ends a pause.
func (c *Client) ResumeJob(ctx context.Context, name string) (api.DefinedJob, error) {
	var out api.DefinedJob
	err := c.Send(ctx, http.MethodPost, definitionPath(name)+"/resume", nil, &out)
	return out, err
}
