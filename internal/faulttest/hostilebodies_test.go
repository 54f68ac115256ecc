package faulttest

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// mostAppend is the most journal bytes that a server takes at once.
const mostAppend = 8 << 20

// worstBody is a journal that costs a server far more than its bytes: a beginning, and one
// piece again and again up to mostAppend.
type worstBody struct {
	name  string
	begin func() []byte
	piece []byte
}

// body is a whole journal of a run.
func (b worstBody) body(run string) []byte {
	out := beginning(run, "worst", nil)
	if b.begin != nil {
		out = append(out, b.begin()...)
	}
	return append(out, bytes.Repeat(b.piece, (mostAppend-len(out))/len(b.piece))...)
}

// worstBodies are the journals that were found to cost most.
func worstBodies() []worstBody {
	deep := `{"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}"
	gpus := `{"gpus":[` + strings.Repeat("{},", 340_000) + "{}]}"
	return []worstBody{
		{name: "empty samples", piece: record(journal.TypeSample, "{}")},
		{name: "samples of many GPUs", piece: record(journal.TypeSample, gpus)},
		{name: "deep samples", piece: record(journal.TypeSample, deep)},
		{name: "2,000 streams", begin: manyStreams, piece: output(0, "y")},
		{name: "1,000 steps that end", begin: manySteps, piece: record(journal.TypeStepEnded, `{"index":0,"outcome":{"state":"failed","reason":"exit_code"}}`)},
		{name: "gaps", piece: record(journal.TypeGap, `{"step":0,"stream":"stdout","bytes":1}`)},
		{name: "notes", piece: record(journal.TypeNote, `{"text":"n"}`)},
		{name: "status", piece: record(journal.TypeStatus, `{"text":"s"}`)},
		{name: "stops", piece: record(journal.TypeStopping, `{"reason":"canceled"}`)},
		{name: "unknown records", piece: record(99, "")},
		{name: "newlines", piece: output(0, strings.Repeat("\n", 1000))},
	}
}

func manyStreams() []byte {
	var out []byte
	for i := range 2000 {
		out = append(out, outputOf(i%1000, byte(1+i/1000), "x")...)
	}
	return out
}

func manySteps() []byte {
	var out []byte
	for i := range 1000 {
		out = append(out, record(journal.TypeStepStarted, fmt.Sprintf(`{"index":%d,"name":"c","kind":"command","command":"true"}`, i))...)
	}
	return out
}

// beginning is the journal of an attempt whose command has just started.
func beginning(run, name string, labels map[string]string) []byte {
	out := journal.AppendHeader(nil)
	for _, r := range []struct {
		t journal.Type
		v any
	}{
		{journal.TypeAttempt, journal.Attempt{Run: run, Attempt: 1, Job: name, Args: []string{"x"}, Host: "h", AgentVersion: "test", HeartbeatPeriodMS: 5000, Labels: labels}},
		{journal.TypeStepStarted, journal.StepStarted{Name: "command", Kind: job.CommandStep, Command: "x", PID: 1}},
	} {
		rec, err := journal.JSONRecord(r.t, time.Now(), r.v)
		if err != nil {
			panic(err) // these values can be encoded
		}
		out = journal.AppendRecord(out, rec)
	}
	return out
}

// failed is the last record of a run that failed.
func failed() []byte {
	return record(journal.TypeOutcome, `{"outcome":{"state":"failed","reason":"exit_code","exit_code":1,"message":"done"},"bytes":0,"digest":"","usage":{}}`)
}

func record(t journal.Type, payload string) []byte {
	return journal.AppendRecord(nil, journal.Record{Type: t, At: time.Now(), Payload: []byte(payload)})
}

func output(step int, text string) []byte { return outputOf(step, 1, text) }

func outputOf(step int, stream byte, text string) []byte {
	payload := append(binary.LittleEndian.AppendUint16(nil, uint16(step)), stream)
	return record(journal.TypeOutput, string(payload)+text)
}

// manyLabels are the largest that a run may have.
func manyLabels() map[string]string {
	labels := map[string]string{}
	for i := range 20 {
		labels[fmt.Sprintf("k%d", i)] = noise(100)
	}
	return labels
}

// noise is text that cannot be compressed, of twice n characters.
func noise(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}

func newRun() string { return uuid.Must(uuid.NewV7()).String() }
