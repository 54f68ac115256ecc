package importcmd

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"stint.dev/stint/internal/cli/option"
)

// check is a check as the API of Healthchecks, version 3, shows it.
type check struct {
	UUID      string `json:"uuid"`       // absent with a read-only key
	UniqueKey string `json:"unique_key"` // with a read-only key only
	Name      string `json:"name"`
	Slug      string `json:"slug"`
	Tags      string `json:"tags"`
	Desc      string `json:"desc"`
	Status    string `json:"status"`
	Channels  string `json:"channels"`
	Methods   string `json:"methods"` // empty for all, or POST

	Grace    int64  `json:"grace"`
	Timeout  int64  `json:"timeout"`  // of a simple schedule, in seconds
	Schedule string `json:"schedule"` // else a crontab or an OnCalendar expression, or several lines
	Zone     string `json:"tz"`

	ManualResume      bool   `json:"manual_resume"`
	Subject           string `json:"subject"`
	SubjectFail       string `json:"subject_fail"`
	StartKeywords     string `json:"start_kw"`
	SuccessKeywords   string `json:"success_kw"`
	FailureKeywords   string `json:"failure_kw"`
	FilterSubject     bool   `json:"filter_subject"`
	FilterBody        bool   `json:"filter_body"`
	FilterHTTPBody    bool   `json:"filter_http_body"`
	FilterDefaultFail bool   `json:"filter_default_fail"`
}

const (
	// readTimeout is how long Healthchecks may take to respond, and maxResponse how many bytes that may be.
	readTimeout = time.Minute
	maxResponse = 64 << 20
)

// source is a project of Healthchecks.
type source struct {
	url, key, agent string
	client          *http.Client
}

// newSource returns the project that a key belongs to.
func newSource(address, key, agent string) (*source, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, option.Usagef("--url: %q is not an address such as https://healthchecks.io", address)
	}
	u.RawQuery, u.Fragment = "", ""
	// The key is in a header that a redirect would take to another host.
	noRedirects := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &source{strings.TrimRight(u.String(), "/") + "/api/v3/checks/", key, agent, &http.Client{Timeout: readTimeout, CheckRedirect: noRedirects}}, nil
}

// checks reads all checks of the project.
func (s *source) checks(ctx context.Context) ([]check, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, fmt.Errorf("read the checks of Healthchecks: %w", err)
	}
	req.Header.Set("X-Api-Key", s.key)
	req.Header.Set("User-Agent", s.agent)
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read the checks of Healthchecks: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the checks of Healthchecks: %w", err)
	case len(body) > maxResponse:
		return nil, fmt.Errorf("read the checks of Healthchecks: %s responded with more than %d bytes", s.url, maxResponse)
	case resp.StatusCode != http.StatusOK:
		return nil, s.refusal(resp, body)
	}
	var all struct {
		Checks *[]check `json:"checks"`
	}
	if err := json.Unmarshal(body, &all); err != nil || all.Checks == nil {
		return nil, fmt.Errorf("read the checks of Healthchecks: %s did not respond with checks (%v): see that it is the address of a Healthchecks server", s.url, err)
	}
	for _, c := range *all.Checks {
		if c.UUID == "" {
			return nil, option.Usagef("%s", readOnlyText)
		}
	}
	return *all.Checks, nil
}

// refusal returns the error of a response that has no checks.
func (s *source) refusal(resp *http.Response, body []byte) error {
	var reported struct{ Error string }
	_ = json.Unmarshal(body, &reported) // else it has no reason
	why := cmp.Or(reported.Error, resp.Status)
	next := "see that it is the address of a Healthchecks server with version 3 of the API"
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		next = "give the API key of a project of this server"
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		next = "it leads to " + resp.Header.Get("Location") + "; give that address with --url if you trust it with the key"
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		next = "try again later"
	}
	return fmt.Errorf("read the checks of Healthchecks: GET %s: %s; %s", s.url, why, next)
}
