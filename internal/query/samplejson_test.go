package query

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"stint.dev/stint/job"
)

// fill sets every field of a value, so that a new field is read by the fast reader too.
func fill(v reflect.Value, n int) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, n, 123456789, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n+i+1)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n+1)
	case reflect.Float64:
		v.SetFloat(float64(n) + 0.1)
	case reflect.String:
		v.SetString("NVIDIA A100-SXM4-80GB")
	default:
		v.SetInt(int64(n))
	}
}

// Everything that this program writes itself is read by the fast reader.
func TestFastSamples(t *testing.T) {
	var full job.Sample
	fill(reflect.ValueOf(&full).Elem(), 1)
	edges := job.Sample{At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), CPUSeconds: 1e-9, CPUCores: 3e21, MemoryBytes: -1<<58 + 1, Processes: -7}
	local := job.Sample{At: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 5400))}
	for name, want := range map[string][]job.Sample{
		"none": {}, "every field": {full, full}, "nothing set": {{}}, "edges": {edges}, "another zone": {local},
	} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		r := sampleReader{text: text}
		got, ok := r.samples([]job.Sample{})
		if !ok {
			t.Errorf("%s: %s is not read fast", name, text)
		}
		sameSamples(t, string(text), got, nil)
	}
}

// What is behind into is the samples of the text, and what is before it stays.
func TestDecodeSamplesAppends(t *testing.T) {
	for _, text := range []string{`[{"processes":2}]`, ` [ { "processes" : 2 } ] `} {
		got, err := DecodeSamples([]job.Sample{{Processes: 1}}, []byte(text))
		if err != nil || len(got) != 2 || got[0].Processes != 1 || got[1].Processes != 2 {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	if got, err := DecodeSamples(make([]job.Sample, 1), []byte(`[{"processes":2},{"threads":"x"}]`)); err == nil || len(got) != 1 {
		t.Errorf("broken text: %+v, %v", got, err)
	}
}

// sameSamples compares what was decoded with what encoding/json makes of the text.
func sameSamples(t *testing.T, text string, got []job.Sample, err error) {
	t.Helper()
	var want []job.Sample
	wantErr := json.Unmarshal([]byte(text), &want)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%s: error %v, encoding/json has %v", text, err, wantErr)
	}
	if err != nil || len(got) == 0 && len(want) == 0 {
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: %+v, encoding/json has %+v", text, got, want)
	}
}

// DecodeSamples reads any text as encoding/json does.
func FuzzDecodeSamples(f *testing.F) {
	var full job.Sample
	fill(reflect.ValueOf(&full).Elem(), 1)
	text, err := json.Marshal([]job.Sample{full, {}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	for _, one := range []string{
		``, `null`, `[]`, `[null]`, `[{}]`, `[{},]`, `[{}] x`, `{}`, `[{"at":"2026-01-02T03:04:05+01:30"}]`, `[{"at":"2026-1-2"}]`, `[{"at":null}]`,
		`[{"processes":01}]`, `[{"processes":-0}]`, `[{"processes":1.0}]`, `[{"processes":1e2}]`, `[{"processes":+1}]`, `[{"processes":}]`,
		`[{"memory_bytes":9223372036854775807}]`, `[{"memory_bytes":9223372036854775808}]`, `[{"memory_bytes":999999999999999999}]`,
		`[{"cpu_cores":1e999}]`, `[{"cpu_cores":1.}]`, `[{"cpu_cores":.5}]`, `[{"cpu_cores":-0.0}]`, `[{"cpu_cores":00.5}]`, `[{"cpu_cores":1E+2}]`, `[{"cpu_cores":1e}]`, `[{"cpu_cores":"1"}]`,
		`[{"Processes":3}]`, `[{"processes":1,"processes":2}]`, `[{"other":[1,{"a":2}],"processes":1}]`, `[{"\u0070rocesses":1}]`,
		`[{"pressure":{"cpu":1},"pressure":{"io":2}}]`, `[{"pressure":null}]`, `[{"pressure":{}}]`, `[{"gpus":[]}]`, `[{"gpus":[{"index":1}],"gpus":[{"name":"x"}]}]`,
		`[{"gpus":[{"name":"a\"b"}]}]`, "[{\"gpus\":[{\"name\":\"\xff\"}]}]", `[{"gpus":[{"name":"é"}]}]`, `[{"gpus":[{"utilization_percent":1,"utilization_percent":2}]}]`,
	} {
		f.Add(one)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := DecodeSamples(nil, []byte(text))
		sameSamples(t, text, got, err)
	})
}

func BenchmarkDecodeSamples(b *testing.B) {
	all := make([]job.Sample, 5000)
	for i := range all {
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(i) * 5 * time.Second)
		all[i] = job.Sample{At: at, CPUSeconds: float64(i), CPUCores: float64(i) / 7, MemoryBytes: int64(i) << 20, Processes: i % 7, Threads: 12, ReadBytes: int64(i) << 14, WriteBytes: int64(i) << 13}
	}
	text, err := json.Marshal(all)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if all, err = DecodeSamples(all[:0], text); err != nil {
			b.Fatal(err)
		}
	}
}
