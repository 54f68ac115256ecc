package journal

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"stint.dev/stint/job"
)

// Attempt is the payload of the first record: who this is. It never changes.
type Attempt struct {
	Run     string            `json:"run"`
	Attempt int               `json:"attempt"`
	Job     string            `json:"job"`
	Args    []string          `json:"args"`
	Install []string          `json:"install,omitempty"`
	Dir     string            `json:"dir,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	// EnvNames are the names, never the values, of the variables given with --env.
	EnvNames []string `json:"env_names,omitempty"`
	// Environment are the names, never the values, of all variables of the job, sorted and
	// with one space between them, as far as they fit.
	Environment string `json:"environment,omitempty"`
	// LockFiles are the files that decide what the install steps do, and the beginning of
	// the SHA-256 of each.
	LockFiles map[string]string `json:"lock_files,omitempty"`
	Host      string            `json:"host"`
	// BootID identifies a boot of the host, so that the next agent can report whether
	// the host went down.
	BootID   string `json:"boot_id,omitempty"`
	AgentPID int    `json:"agent_pid,omitempty"`
	// AgentBegan is when the agent began the first attempt that it makes of this run, which distinguishes agents with the same
	// pid; zero if it is not known.
	AgentBegan   time.Time `json:"agent_began,omitzero"`
	AgentVersion string    `json:"agent_version"`
	// HeartbeatPeriodMS is the period that the agent was given.
	HeartbeatPeriodMS int64 `json:"heartbeat_period_ms,omitempty"`
	// Limits that were asked for, 0 for none; a note says so where one is not enforced.
	TimeoutMS           int64   `json:"timeout_ms,omitempty"`
	InstallTimeoutMS    int64   `json:"install_timeout_ms,omitempty"`
	NoOutputTimeoutMS   int64   `json:"no_output_timeout_ms,omitempty"`
	NoProgressTimeoutMS int64   `json:"no_progress_timeout_ms,omitempty"`
	ExpectMS            int64   `json:"expect_ms,omitempty"` // no limit: longer is worth a finding
	MemoryLimitBytes    int64   `json:"memory_limit_bytes,omitempty"`
	CPULimit            float64 `json:"cpu_limit,omitempty"`
	// Due is when the next runs of the job are expected to be started; nil if the run does not say.
	Due *job.Expectation `json:"due,omitempty"`
	// Containment is the level the agent reached.
	Containment string `json:"containment,omitempty"`
	// Of a submitted run: the hash of the version of its definition, the values of its
	// parameters, the worker that it was given to, and the process that got the permit to start
	// this attempt, as 32 hexadecimal digits. Empty for a run that was started by hand.
	Definition  string            `json:"definition,omitempty"`
	Parameters  map[string]string `json:"parameters,omitempty"`
	Worker      string            `json:"worker,omitempty"`
	Incarnation string            `json:"incarnation,omitempty"`
}

// StepStarted is the payload of a step's beginning. A step that could not start has one
// too, with PID 0, and a StepEnded right after.
type StepStarted struct {
	Index   int          `json:"index"`
	Name    string       `json:"name"`
	Kind    job.StepKind `json:"kind"`
	Command string       `json:"command"`
	PID     int          `json:"pid,omitempty"`
}

// StepEnded is the payload of a step's end.
type StepEnded struct {
	Index   int         `json:"index"`
	Outcome job.Outcome `json:"outcome"`
}

// Note is something the agent has to say to a person.
type Note struct {
	Step int    `json:"step"` // -1: the whole attempt
	Text string `json:"text"`
	// Processes say for programs what a note about processes before a stop says, and NotDescribed
	// how many more there were.
	Processes    []job.StoppedProcess `json:"processes,omitempty"`
	NotDescribed int                  `json:"not_described,omitempty"`
}

// Status is the job's own word about its progress.
type Status struct {
	Text string `json:"text"`
}

// Stopping records that the agent has begun to stop the job, and why.
type Stopping struct {
	Reason job.Reason `json:"reason"`
	By     string     `json:"by,omitempty"`
	Why    string     `json:"why,omitempty"`
}

// Final is the payload of the last record: the outcome, and the proof that a copy of the
// journal is whole.
type Final struct {
	Outcome job.Outcome `json:"outcome"`
	// Bytes and Digest describe the journal before this record: its length and the
	// digest that Digester computes. The writer fills them in.
	Bytes  int64  `json:"bytes"`
	Digest string `json:"digest"`
	// Usage are the final totals.
	Usage job.Usage `json:"usage"`
}

// Output is the payload of an output record, taken apart.
type Output struct {
	Step   int
	Stream job.Stream
	Data   []byte
}

// OutputPrefix is how many bytes of an output record's payload come before the raw bytes.
const OutputPrefix = 3

// MaxOutput is the most raw bytes that one output record holds.
const MaxOutput = MaxPayload - OutputPrefix

// PutOutput writes the frame and prefix of an output record whose raw bytes are already
// at rec[FrameSize+OutputPrefix:].
func PutOutput(rec []byte, step int, stream job.Stream, at time.Time) {
	binary.LittleEndian.PutUint16(rec[FrameSize:], uint16(step))
	rec[FrameSize+2] = streamByte(stream)
	PutFrame(rec, TypeOutput, at)
}

// OutputRecord makes an output record that owns its payload.
func OutputRecord(at time.Time, o Output) Record {
	p := make([]byte, OutputPrefix+len(o.Data))
	binary.LittleEndian.PutUint16(p, uint16(o.Step))
	p[2] = streamByte(o.Stream)
	copy(p[OutputPrefix:], o.Data)
	return Record{Type: TypeOutput, At: at, Payload: p}
}

// DecodeOutput takes an output record's payload apart. Data aliases it.
func DecodeOutput(r Record) (Output, error) {
	if len(r.Payload) < OutputPrefix {
		return Output{}, fmt.Errorf("output record: payload of %d bytes is too short", len(r.Payload))
	}
	o := Output{Step: int(binary.LittleEndian.Uint16(r.Payload)), Data: r.Payload[OutputPrefix:]}
	switch r.Payload[2] {
	case 1:
		o.Stream = job.Stdout
	case 2:
		o.Stream = job.Stderr
	default:
		return Output{}, fmt.Errorf("output record: stream %d is neither stdout (1) nor stderr (2)", r.Payload[2])
	}
	return o, nil
}

func streamByte(s job.Stream) byte {
	if s == job.Stderr {
		return 2
	}
	return 1
}

// JSONRecord makes a record whose payload is v as JSON. It fails when v cannot be encoded
// or is larger than a record may be.
func JSONRecord(t Type, at time.Time, v any) (Record, error) {
	p, err := json.Marshal(v)
	if err != nil {
		return Record{}, fmt.Errorf("%s record: %w", t, err)
	}
	if len(p) > MaxPayload {
		return Record{}, fmt.Errorf("%s record: %d bytes are more than the %d a record holds", t, len(p), MaxPayload)
	}
	return Record{Type: t, At: at, Payload: p}, nil
}

// Decode reads a JSON payload into v. Fields it does not know are ignored, so that an
// older reader reads a newer writer.
func Decode(r Record, v any) error {
	if err := json.Unmarshal(r.Payload, v); err != nil {
		return fmt.Errorf("%s record: %w", r.Type, err)
	}
	return nil
}
