package index

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const (
	worstSize = 8 << 20 // of an append
	worstWork = 400_000 // that the store does for one
)

// worstCase is a journal and a record that costs much for its size.
type worstCase struct {
	name   string
	first  []byte // the journal before
	record func(i int) journal.Record
}

func text(typ journal.Type, payload string) func(int) journal.Record {
	return func(i int) journal.Record {
		return journal.Record{Type: typ, At: noon.Add(time.Duration(i) * time.Second), Payload: []byte(payload)}
	}
}

func output(data string) func(int) journal.Record {
	return func(int) journal.Record {
		return journal.OutputRecord(noon, journal.Output{Stream: job.Stdout, Data: []byte(data)})
	}
}

func worstCases(tb testing.TB) []worstCase {
	begun := func() *writing { return write(tb, identity()).step(0, job.CommandStep) }
	steps, streams := write(tb, identity()), begun()
	for i := range maxSteps {
		steps.step(i, job.CommandStep)
		steps.out(i, job.Stdout, "x")
		steps.out(i, job.Stderr, "x")
		streams.out(i, job.Stdout, "x")
		streams.out(i, job.Stderr, "x")
	}
	gaps := begun()
	for range maxGaps {
		gaps.json(journal.TypeGap, job.Gap{Stream: job.Stderr, Bytes: 1})
	}
	gaps.json(journal.TypeGap, job.Gap{Stream: job.Stdout, Bytes: 1})
	deep := `{"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}"
	names := strings.Repeat(`,"`+strings.Repeat("n", 900)+`"`, 1000)[1:]
	var files []string
	for i := range 60_000 {
		files = append(files, fmt.Sprintf(`"f%d":"a"`, i))
	}
	var cases []worstCase
	for name, record := range map[string]func(int) journal.Record{
		"samples that say nothing": text(journal.TypeSample, "{}"), "samples with GPUs": text(journal.TypeSample, `{"gpus":[`+strings.Repeat(`{"index":1},`, maxGPUs-1)+`{}]}`),
		"samples with empty GPUs": text(journal.TypeSample, `{"gpus":[`+strings.Repeat(`{},`, maxGPUs-1)+`{}]}`),
		"deep samples":            text(journal.TypeSample, deep), "samples with a long text": text(journal.TypeSample, `{"x":"`+strings.Repeat("a", 500_000)+`"}`),
		"notes": text(journal.TypeNote, `{"text":"n"}`), "long notes": text(journal.TypeNote, `{"text":"`+strings.Repeat("é", 500_000)+`"}`),
		"deep notes": text(journal.TypeNote, deep), "notes of escapes": text(journal.TypeNote, `{"text":"`+strings.Repeat(`\u0001`, 150_000)+`"}`),
		"status": text(journal.TypeStatus, `{"text":"s"}`), "stops": text(journal.TypeStopping, `{"reason":"timeout","by":"me","why":"x"}`), "empty stops": text(journal.TypeStopping, `{}`),
		"gaps": text(journal.TypeGap, `{"step":0,"stream":"stdout","bytes":1}`), "deep gaps": text(journal.TypeGap, `{"stream":"stdout","reason":`+deep+`}`),
		"unknown types": text(99, ""), "empty output": output(""), "bytes of output": output("x"), "lines": output("\n"), "many lines": output(strings.Repeat("\n", 1000)),
		"arrays for texts": text(journal.TypeStatus, `{"text":[`+strings.Repeat(`{},`, 300_000)+`{}]}`),
	} {
		cases = append(cases, worstCase{name, begun().bytes(), record})
	}
	return append(cases,
		worstCase{"ends of the first of many steps", steps.bytes(), text(journal.TypeStepEnded, `{"index":0,"outcome":{"state":"failed","reason":"exit_code"}}`)},
		worstCase{"output of the first of many streams", streams.bytes(), output("y")},
		worstCase{"output of many streams in turn", streams.bytes(), func(i int) journal.Record {
			return journal.OutputRecord(noon, journal.Output{Step: i % maxSteps, Stream: job.Stdout, Data: []byte("y\n")})
		}},
		worstCase{"gaps beyond the most", gaps.bytes(), text(journal.TypeGap, `{"step":0,"stream":"stderr","bytes":1}`)},
		worstCase{"beginnings of steps", begun().bytes(), func(i int) journal.Record {
			return text(journal.TypeStepStarted, fmt.Sprintf(`{"index":%d,"kind":"command","command":%q}`, i+1, strings.Repeat("c", i%2000)))(i)
		}},
		worstCase{"an identity of many words", begun().bytes()[:journal.HeaderSize], text(journal.TypeAttempt,
			`{"run":"`+testRun+`","attempt":1,"job":"j","host":"h","args":[`+strings.Repeat(`"",`, 250_000)+`""]}`)},
		worstCase{"an identity of many files", begun().bytes()[:journal.HeaderSize], text(journal.TypeAttempt,
			`{"run":"`+testRun+`","attempt":1,"job":"j","host":"h","lock_files":{`+strings.Join(files, ",")+`}}`)},
		worstCase{"an identity of many labels", begun().bytes()[:journal.HeaderSize], text(journal.TypeAttempt,
			`{"run":"`+testRun+`","attempt":1,"job":"j","host":"h","labels":{`+strings.Join(files, ",")+`}}`)},
		worstCase{"an outcome of many texts", begun().bytes(), text(journal.TypeOutcome, `{"outcome":{"state":"failed","message":"x"},"x":[`+names+`]}`)},
	)
}

// data is an append's worth of a record.
func (c worstCase) data() []byte {
	var data []byte
	for i := 0; ; i++ {
		next := journal.AppendRecord(data, c.record(i))
		if len(next) > worstSize && i > 0 {
			return data
		}
		if data = next; len(next) > worstSize {
			return data
		}
	}
}

// The work that one append may cause is bounded, and so is the memory, whatever its records
// are; and each goes on where the one before ended.
func TestWorkOfTheWorstRecords(t *testing.T) {
	for _, c := range worstCases(t) {
		t.Run(c.name, func(t *testing.T) {
			begun, err := Fold(NewState(testRun, 1), c.first)
			if err != nil {
				t.Fatal(err)
			}
			data := c.data()
			for rest, part := data, 0; len(rest) > 0 && part < 2; part++ {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				f, err := FoldLimited(begun.State, rest, worstWork)
				stored := 0
				for _, s := range f.Samples {
					text, _ := json.Marshal(s)
					stored += len(text)
				}
				runtime.ReadMemStats(&after)
				taken := len(rest) - f.Left - f.Tail
				if got := after.TotalAlloc - before.TotalAlloc; got > 8*worstSize {
					t.Errorf("%d bytes cost %d bytes of memory", taken, got)
				}
				var refused *RefusedError
				var corrupt *journal.CorruptError
				if errors.As(err, &refused) || errors.As(err, &corrupt) {
					return
				}
				if err != nil || taken == 0 {
					t.Fatalf("%v; %d bytes were taken", err, taken)
				}
				if stored > 8*taken {
					t.Errorf("of %d bytes of records %d are kept as samples", taken, stored)
				}
				if largest := workValue * journal.MaxRecord; f.Work > worstWork+largest {
					t.Errorf("the work of one append is %d", f.Work)
				}
				rest, begun = rest[taken:], f
			}
		})
	}
}

// Every type of record has a row among the worst cases: one that is new needs its own.
func TestEveryRecordTypeHasAWorstCase(t *testing.T) {
	has := map[journal.Type]bool{}
	for _, c := range worstCases(t) {
		has[c.record(0).Type] = true
	}
	known := 0
	for typ := range journal.Type(255) {
		if journal.Known(typ) {
			if known++; !has[typ] {
				t.Errorf("no worst case of records of type %d", typ)
			}
		}
	}
	if known < 10 {
		t.Errorf("only %d types of records are known", known)
	}
}

// Whatever the parts, what they fold to is the same.
func TestPartsOfWorkMakeTheWhole(t *testing.T) {
	data := write(t, identity()).step(0, job.CommandStep).out(0, job.Stdout, "a\nb").
		json(journal.TypeSample, job.Sample{CPUSeconds: 2}).json(journal.TypeNote, journal.Note{Text: "n"}).
		json(journal.TypeSample, job.Sample{CPUSeconds: 3}).stepEnd(0, 1).end(good).bytes()
	whole := mustFold(t, NewState(testRun, 1), data)
	for _, work := range []int{0, 1, 30, 100} {
		state, samples := NewState(testRun, 1), 0
		for rest := data; len(rest) > 0; {
			f, err := FoldLimited(state, rest, work)
			if err != nil || f.Left == len(rest) || f.Tail != 0 {
				t.Fatalf("work %d: %v, %d of %d bytes are left, tail %d", work, err, f.Left, len(rest), f.Tail)
			}
			state, rest, samples = f.State, rest[len(rest)-f.Left:], samples+len(f.Samples)
		}
		if !bytes.Equal(marshal(t, state), marshal(t, whole.State)) || samples != len(whole.Samples) {
			t.Errorf("work %d: the parts make %d samples and another state than the whole", work, samples)
		}
	}
}

func TestGPUsAreBounded(t *testing.T) {
	begun := write(t, identity()).bytes()
	sample := func(s job.Sample) []byte {
		rec, err := journal.JSONRecord(journal.TypeSample, noon, s)
		if err != nil {
			t.Fatal(err)
		}
		return journal.AppendRecord(nil, rec)
	}
	most := job.Sample{GPUs: make([]job.GPU, maxGPUs)}
	for i := range most.GPUs {
		most.GPUs[i] = job.GPU{Index: i, Name: strings.Repeat(",", maxGPUName), MemoryTotalBytes: 1}
	}
	if f := mustFold(t, NewState(testRun, 1), append(bytes.Clone(begun), sample(most)...)); len(f.Samples[0].GPUs) != maxGPUs {
		t.Errorf("of as many GPUs as an agent may name %d are kept", len(f.Samples[0].GPUs))
	}
	most.GPUs = append(most.GPUs, job.GPU{Index: 64})
	var refused *RefusedError
	if _, err := Fold(NewState(testRun, 1), append(bytes.Clone(begun), sample(most)...)); !errors.As(err, &refused) {
		t.Errorf("more GPUs: %v", err)
	}
}

func BenchmarkWorstRecords(b *testing.B) {
	for _, c := range worstCases(b) {
		begun, err := Fold(NewState(testRun, 1), c.first)
		if err != nil {
			b.Fatal(err)
		}
		data := c.data()
		b.Run(strings.ReplaceAll(c.name, " ", "-"), func(b *testing.B) {
			for b.Loop() {
				f, _ := FoldLimited(begun.State, data, worstWork)
				for _, s := range f.Samples {
					_, _ = json.Marshal(s)
				}
			}
		})
	}
}
