package job

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"
)

// floats and integers are figures that no host has, beside some that it has.
var (
	floats   = []float64{1e306, -1e306, math.MaxFloat64, math.Inf(1), math.Inf(-1), math.NaN(), -1, 0, 0.5, 3}
	integers = []int64{math.MaxInt64, math.MinInt64, 1 << 62, -1 << 62, math.MaxInt32, -1, 0, 3}
	times    = []time.Time{{}, time.Unix(1<<40, 0), time.Unix(-1<<40, 0), time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -23*3600)), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
)

// eachFigure calls fn once for each number and time in v and each value that it may be given,
// also behind pointers and in slices.
func eachFigure(v reflect.Value, path string, fn func(path string)) {
	switch v.Interface().(type) {
	case time.Time:
		for _, at := range times {
			v.Set(reflect.ValueOf(at))
			fn(fmt.Sprintf("%s = %s", path, at))
		}
		v.Set(reflect.ValueOf(times[len(times)-1]))
		return
	}
	switch v.Kind() {
	case reflect.Float64:
		for _, f := range floats {
			v.SetFloat(f)
			fn(fmt.Sprintf("%s = %g", path, f))
		}
		v.SetFloat(3)
	case reflect.Int, reflect.Int64:
		for _, n := range integers {
			v.SetInt(n)
			fn(fmt.Sprintf("%s = %d", path, n))
		}
		v.SetInt(3)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		eachFigure(v.Elem(), path, fn)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		eachFigure(v.Index(0), path+"[0]", fn)
	case reflect.Struct:
		for i := range v.NumField() {
			eachFigure(v.Field(i), path+"."+v.Type().Field(i).Name, fn)
		}
	}
}

// checkFigures reports what in v is not a sane figure.
func checkFigures(t *testing.T, v reflect.Value, path, given string, mayBeNegative map[string]bool) {
	t.Helper()
	if at, ok := v.Interface().(time.Time); ok {
		if y := at.Year(); !at.IsZero() && (y < 1969 || y > 2300) {
			t.Errorf("%s gives %s = %s", given, path, at)
		}
		return
	}
	least := 0.0
	if mayBeNegative[path] {
		least = -math.MaxInt32 - 1
	}
	switch v.Kind() {
	case reflect.Float64:
		if f := v.Float(); math.IsNaN(f) || f < least || f > 1e12 {
			t.Errorf("%s gives %s = %g", given, path, f)
		}
	case reflect.Int, reflect.Int64:
		if n := v.Int(); float64(n) < least || n > MaxBytes && path != ".Sequence" {
			t.Errorf("%s gives %s = %d", given, path, n)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			checkFigures(t, v.Elem(), path, given, mayBeNegative)
		}
	case reflect.Slice:
		for i := range v.Len() {
			checkFigures(t, v.Index(i), path, given, mayBeNegative)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			checkFigures(t, v.Field(i), path+"."+v.Type().Field(i).Name, given, mayBeNegative)
		}
	}
}

// Every number and time of what an agent sends is bounded, whatever it is: a field that is
// added without a bound fails here.
func TestBoundedFigures(t *testing.T) {
	ended := times[len(times)-1]
	for _, tt := range []struct {
		name     string
		of       any // a pointer to what is given
		negative map[string]bool
	}{
		{name: "heartbeat", of: new(Heartbeat), negative: map[string]bool{".OutputAgeMS": true}},
		{name: "sample", of: new(Sample)},
		{name: "usage", of: new(Usage)},
		{name: "outcome", of: new(Outcome), negative: map[string]bool{".ExitCode": true, ".SignalNumber": true, ".OOM.VictimPID": true}},
		{name: "gap", of: new(Gap), negative: map[string]bool{".Step": true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			given := reflect.ValueOf(tt.of).Elem()
			eachFigure(given, "", func(path string) {
				if path[:5] == ".Step" { // checked where it is read
					return
				}
				var bounded any
				switch v := given.Interface().(type) {
				case Heartbeat:
					bounded = v.Bounded()
				case Sample:
					bounded = v.Bounded()
				case Usage:
					bounded = v.Bounded()
				case Outcome:
					bounded = v.Bounded(ended)
				case Gap:
					bounded = v.Bounded()
				}
				checkFigures(t, reflect.ValueOf(bounded), "", path, tt.negative)
				if _, err := json.Marshal(bounded); err != nil {
					t.Errorf("%s cannot be encoded: %v", path, err)
				}
			})
		})
	}
}

// What a host can have stays as it is.
func TestBoundedKeepsWhatIsPossible(t *testing.T) {
	free, used, at := int64(5), 50.5, times[len(times)-1]
	hb := Heartbeat{
		Sequence: 3, SentAt: at, UptimeMS: 1, SchedulingDelayMS: 2, OutputAgeMS: -1, CPUSeconds: 1.5, MemoryBytes: 1 << 40,
		Processes: 7, UnsentBytes: 8, ReadBytes: 9, WrittenBytes: 10, MemoryLimitBytes: 11, OOMKills: 12,
		DiskFreeBytes: &free, Pressure: &Pressure{CPU: 1, Memory: 2, IO: 3.5}, WaitingMS: 13, PeriodMS: 14,
	}
	if got := hb.Bounded(); !reflect.DeepEqual(got, hb) {
		t.Errorf("%+v became %+v", hb, got)
	}
	s := Sample{At: at, CPUSeconds: 1, CPUCores: 2, MemoryBytes: 3, Processes: 4, GPUs: []GPU{{Index: 1, Name: "x", UtilizationPercent: &used, MemoryBytes: 5, MemoryTotalBytes: 6}}}
	if got := s.Bounded(); !reflect.DeepEqual(got, s) {
		t.Errorf("%+v became %+v", s, got)
	}
	code := -9
	o := Outcome{State: Failed, ExitCode: &code, RetryAt: &at, OOM: &OOM{LimitBytes: 1, Kills: 2, At: at}}
	if got := o.Bounded(at.Add(-time.Hour)); !reflect.DeepEqual(got, o) {
		t.Errorf("%+v became %+v", o, got)
	}
	late := at.Add(20 * 365 * 24 * time.Hour)
	if got := (Outcome{RetryAt: &late}).Bounded(at); !got.RetryAt.Equal(at.Add(MaxRetryPause)) {
		t.Errorf("another attempt is due at %s, %s after the end", got.RetryAt, got.RetryAt.Sub(at))
	}
	if got := AddBytes(math.MaxInt64, math.MaxInt64); got != MaxBytes {
		t.Errorf("the sum of two largest counts is %d", got)
	}
}
