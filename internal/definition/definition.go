// Package definition is what a job is when Stint starts it: read from YAML with every mistake in
// its place, canonical JSON with its hash, the values of its parameters, and what differs between
// two. It is pure.
package definition

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
)

// Definition is what a job is when Stint starts it. Its JSON is canonical: what was left out is not
// there, and the same content has the same bytes. It is also a definition in YAML.
type Definition struct {
	Job         string `json:"job"`
	Description string `json:"description,omitempty"`
	// Command is the words of the command, or Script a text for sh -c.
	Command      []string          `json:"command,omitempty"`
	Script       string            `json:"script,omitempty"`
	Dir          string            `json:"dir,omitempty"` // empty for the home of the worker's user
	Install      []string          `json:"install,omitempty"`
	InstallCache *Cache            `json:"install_cache,omitempty"`
	Env          map[string]string `json:"env,omitempty"`
	Secrets      map[string]string `json:"secrets,omitempty"` // names of secrets, by variable
	Zone         string            `json:"zone,omitempty"`    // empty for UTC
	Parameters   []Parameter       `json:"parameters,omitempty"`
	Limits       *Limits           `json:"limits,omitempty"`
	Retries      *Retries          `json:"retries,omitempty"`
	Requires     map[string]string `json:"requires,omitempty"` // labels that a worker must have
	Priority     job.Priority      `json:"priority,omitempty"` // empty for normal
	Group        string            `json:"group,omitempty"`
	StartWithin  Duration          `json:"start_within,omitzero"`
	Overlap      string            `json:"overlap,omitempty"` // of scheduled occurrences
	Schedules    []Schedule        `json:"schedules,omitempty"`
	// Policy is the health policy, by keys, as it was written. It is live: runs do not keep it.
	Policy map[string]any `json:"policy,omitempty"`
	Engine map[string]any `json:"engine,omitempty"`
	Keep   *Keep          `json:"keep,omitempty"`
}

// Cache says which files decide what the install steps make, and which directories have it.
type Cache struct {
	Files []string `json:"files"`
	Dirs  []string `json:"dirs"`
}

// Limits end an attempt that exceeds them. Zero is no limit.
type Limits struct {
	Timeout        Duration `json:"timeout,omitzero"`
	InstallTimeout Duration `json:"install_timeout,omitzero"`
	Memory         Size     `json:"memory,omitzero"`
	CPU            float64  `json:"cpu,omitempty"`
	NoOutput       Duration `json:"no_output,omitzero"`
}

// Retries says after which ends another attempt follows.
type Retries struct {
	Limit   int          `json:"limit"` // the most further attempts
	Backoff Duration     `json:"backoff,omitzero"`
	On      []job.Reason `json:"on,omitempty"`   // empty for the default of the queue
	Hold    *Duration    `json:"hold,omitempty"` // nil for the default of the queue
	Memory  Factor       `json:"memory,omitzero"`
}

// Schedule says when Stint starts the job: at the times of a crontab expression, or each Every.
type Schedule struct {
	Cron  string   `json:"cron,omitempty"`
	Every Duration `json:"every,omitzero"`
	// Anchor is a time from which Every is counted; zero for the beginning of 1970 in UTC.
	Anchor     time.Time         `json:"anchor,omitzero"`
	Zone       string            `json:"zone,omitempty"`     // empty for that of the job
	CatchUp    string            `json:"catch_up,omitempty"` // "none" or "latest"
	Window     Duration          `json:"window,omitzero"`
	Spread     Duration          `json:"spread,omitzero"`
	Parameters map[string]string `json:"parameters,omitempty"`
}

// Keep bounds how long runs are stored. Zero is no bound.
type Keep struct {
	Days int `json:"days,omitempty"`
	Runs int `json:"runs,omitempty"`
}

// Canonical is the JSON of the definition, the same for the same content.
func (d Definition) Canonical() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(d); err != nil {
		return nil, fmt.Errorf("encode the definition of job %s: %w", d.Job, err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// Hash names the version of a definition: the SHA-256 of its canonical JSON in hexadecimal.
func Hash(canonical []byte) string {
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

// FromCanonical reads canonical JSON.
func FromCanonical(canonical []byte) (Definition, error) {
	var d Definition
	if err := json.Unmarshal(canonical, &d); err != nil {
		return d, fmt.Errorf("decode a definition: %w", err)
	}
	return d, nil
}

// Location is the zone of the job.
func (d Definition) Location() (*time.Location, error) {
	zone, err := time.LoadLocation(d.Zone)
	if err != nil {
		return nil, fmt.Errorf("zone %s of job %s: %w", job.Quote(d.Zone), d.Job, err)
	}
	return zone, nil
}

// Spec is what an agent needs to run the job with these values of its parameters.
func (d Definition) Spec(values map[string]string) job.Spec {
	s := job.Spec{Version: job.SpecVersion, Args: d.Command, Dir: d.Dir, Install: d.Install, Zone: d.Zone, Env: map[string]string{}}
	if d.Script != "" {
		s.Args = []string{"sh", "-c", d.Script}
	}
	if d.InstallCache != nil {
		s.CacheFiles, s.CacheDirs = d.InstallCache.Files, d.InstallCache.Dirs
	}
	for name, value := range d.Env {
		s.Env[name] = value
	}
	for name, value := range values {
		s.Env[name] = value
	}
	if l := d.Limits; l != nil {
		s.TimeoutMS, s.InstallMS, s.NoOutputMS = l.Timeout.milliseconds(), l.InstallTimeout.milliseconds(), l.NoOutput.milliseconds()
		s.MemoryBytes, s.CPUs = int64(l.Memory), l.CPU
	}
	return s
}

// Duration is written as in 90s, 5m, 2h or 1h30m.
type Duration time.Duration

func (d Duration) milliseconds() int64 { return time.Duration(d).Milliseconds() }

// String is the shortest text of a duration.
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalText writes the duration as String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	span, err := policy.ParseSpan(string(text))
	if err != nil {
		return fmt.Errorf("%s is not a duration", job.Quote(string(text)))
	}
	*d = Duration(span)
	return nil
}

// Size is a number of bytes, written as in 512MiB or 4GiB.
type Size int64

// String is the shortest exact text of a size.
func (s Size) String() string {
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if one := int64(1) << (40 - 10*i); s != 0 && int64(s)%one == 0 {
			return strconv.FormatInt(int64(s)/one, 10) + unit
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText writes the size as String does.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := policy.ParseSize(string(text))
	if err != nil {
		return fmt.Errorf("%s is not a size", job.Quote(string(text)))
	}
	*s = Size(n)
	return nil
}

// Factor multiplies, written as in 2x.
type Factor float64

// String is the text of a factor.
func (f Factor) String() string { return strconv.FormatFloat(float64(f), 'f', -1, 64) + "x" }

// MarshalText writes the factor as String does.
func (f Factor) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads a factor.
func (f *Factor) UnmarshalText(text []byte) error {
	n, err := strconv.ParseFloat(strings.TrimSuffix(string(text), "x"), 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return fmt.Errorf("%s is not a factor such as 2x", job.Quote(string(text)))
	}
	*f = Factor(n)
	return nil
}
