package queue

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"stint.dev/stint/job"
)

func TestClosedGates(t *testing.T) {
	before, at, after := noon.Add(-time.Second), noon, noon.Add(time.Second)
	for _, c := range []struct {
		waits Waits
		want  []Gate
	}{
		{Waits{}, nil},
		{Waits{NotBefore: &before}, nil},
		{Waits{NotBefore: &at}, nil},
		{Waits{NotBefore: &after}, []Gate{Later}},
		{Waits{Held: true}, []Gate{Held}},
		{Waits{Unmet: 2}, []Gate{After}},
		{Waits{Paused: true}, []Gate{Paused}},
		{Waits{GroupFull: true}, []Gate{Full}},
		{Waits{Held: true, Unmet: 1, NotBefore: &after, Paused: true, GroupFull: true}, []Gate{Held, After, Later, Paused, Full}},
	} {
		if got := Closed(c.waits, noon); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.waits, got, c.want)
		}
	}
}

func TestWorkersOfSelectors(t *testing.T) {
	fra := Worker{Host: "a", Labels: map[string]string{"zone": "fra", "gpu": "true"}, Specs: []int{1}, Memory: 4 << 30, Slots: 4, Free: 1}
	old := Worker{Host: "b", Labels: map[string]string{"zone": "fra"}, Specs: []int{0}, Slots: 4, Free: 4}
	few := Worker{Host: "c", Labels: map[string]string{"zone": "ber"}, Allow: []string{"report"}, Commands: true, Specs: []int{1, 2}, Slots: 2}
	all := []Worker{fra, old, few}
	for _, c := range []struct {
		selector Selector
		job      string
		want     Supply
		gate     Gate
	}{
		{Selector{Spec: 1}, "report", Supply{Workers: 3, Matching: 2, Slots: 6, Free: 1, OtherSpec: 1}, ""},
		{Selector{Spec: 1}, "other", Supply{Workers: 3, Matching: 1, Slots: 4, Free: 1, OtherSpec: 1, OtherJob: 1}, ""},
		{Selector{Spec: 0}, "report", Supply{Workers: 3, Matching: 1, Slots: 4, Free: 4, OtherSpec: 2}, ""},
		{Selector{Spec: 2}, "report", Supply{Workers: 3, Matching: 1, Slots: 2, Free: 0, OtherSpec: 2}, NoSlot},
		{Selector{Spec: 3}, "report", Supply{Workers: 3, Matching: 0, Slots: 0, Free: 0, OtherSpec: 3}, NoWorker},
		{Selector{Spec: 1, Command: true}, "report", Supply{Workers: 3, Matching: 1, Slots: 2, Free: 0}, NoSlot},
		{Selector{Spec: 1, Command: true}, "other", Supply{Workers: 3, Matching: 0, Slots: 0, Free: 0, OtherJob: 1}, NoWorker},
		{Selector{Spec: 1, Requires: map[string]string{"zone": "fra", "gpu": "true"}}, "report", Supply{Workers: 3, Matching: 1, Slots: 4, Free: 1}, ""},
		{Selector{Spec: 1, Requires: map[string]string{"zone": "muc"}}, "report", Supply{Workers: 3, Matching: 0, Slots: 0, Free: 0}, NoWorker},
		{Selector{Spec: 1, Requires: map[string]string{"disk": ""}}, "report", Supply{Workers: 3, Matching: 0, Slots: 0, Free: 0}, NoWorker},
		{Selector{Spec: 1, Memory: 4 << 30}, "report", Supply{Workers: 3, Matching: 2, Slots: 6, Free: 1, OtherSpec: 1}, ""},
		{Selector{Spec: 1, Memory: 4<<30 + 1}, "report", Supply{Workers: 3, Matching: 1, Slots: 2, OtherSpec: 1, Memory: 4 << 30}, NoSlot},
		{Selector{Spec: 1, Memory: 4<<30 + 1}, "other", Supply{Workers: 3, OtherSpec: 1, OtherJob: 1, Memory: 4 << 30}, NoWorker},
	} {
		got := SupplyFor(all, c.selector, c.job, "")
		if !reflect.DeepEqual(got, c.want) || got.Gate() != c.gate {
			t.Errorf("%+v of %s: %+v %q, want %+v %q", c.selector, c.job, got, got.Gate(), c.want, c.gate)
		}
	}
	s := Selector{Spec: 1}
	for _, c := range []struct {
		hosts  []string
		host   string
		others []Worker
		want   bool
	}{
		{nil, "a", []Worker{few}, false},
		{[]string{"a"}, "a", []Worker{few}, true},
		{[]string{"a"}, "a", nil, false},
		{[]string{"a"}, "a", []Worker{old}, false},      // it could not take the run
		{[]string{"a", "c"}, "a", []Worker{few}, false}, // neither
		{[]string{"c"}, "a", []Worker{few}, false},
	} {
		if got := Avoids(c.hosts, c.host, s, "report", c.others); got != c.want {
			t.Errorf("avoiding %v on %s beside %v: %v", c.hosts, c.host, c.others, got)
		}
	}
}

func TestRequirements(t *testing.T) {
	fra, gpu := map[string]string{"zone": "fra"}, map[string]string{"gpu": "true"}
	got, err := Requirements(fra, gpu)
	if err != nil || len(got) != 2 || got["zone"] != "fra" || got["gpu"] != "true" || len(fra) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := Requirements(nil, gpu); err != nil || got["gpu"] != "true" {
		t.Errorf("%v, %v", got, err)
	}
	var bad *job.InvalidError
	if _, err := Requirements(fra, map[string]string{"zone": "ber"}); !errors.As(err, &bad) {
		t.Errorf("a contradiction: %v", err)
	}
}

func TestDependencies(t *testing.T) {
	for when, want := range map[string]map[job.State]Dependency{
		WhenSucceeded: {job.Succeeded: Met, job.Failed: Impossible, job.TimedOut: Impossible, job.Lost: Impossible, job.Canceled: Impossible, "": Impossible},
		WhenEnded:     {job.Succeeded: Met, job.Failed: Met, job.TimedOut: Met, job.Lost: Met, job.Canceled: Met, "": Met},
		WhenFailed:    {job.Succeeded: Impossible, job.Failed: Met, job.TimedOut: Met, job.Lost: Met, job.Canceled: Impossible, "": Impossible},
	} {
		for _, state := range append(job.States(), "") {
			if got := Judge(when, state); got != want[state] { // the others wait
				t.Errorf("%s of a run that is %q: %d, want %d", when, state, got, want[state])
			}
		}
	}
}

func TestStartBy(t *testing.T) {
	later, hour := noon.Add(time.Hour), time.Hour
	for _, c := range []struct {
		notBefore *time.Time
		within    time.Duration
		want      string
	}{
		{nil, 0, "never"}, {nil, hour, "13:00"}, {&later, hour, "14:00"}, {&later, 0, "never"},
	} {
		got := "never"
		if by := StartBy(noon, c.notBefore, c.within); by != nil {
			got = by.Format("15:04")
		}
		if got != c.want {
			t.Errorf("within %s from %v: %s, want %s", c.within, c.notBefore, got, c.want)
		}
	}
}

func TestRoomInTheQueue(t *testing.T) {
	for _, c := range []struct {
		all, ofJob int64
		want       string
	}{
		{99_999, 9_999, "<nil>"},
		{100_000, 0, "the queue is full: 100000 runs wait: submit again when fewer do"},
		{10_000, 10_000, `the queue is full for job "report": 10000 of its runs wait: submit again when fewer do`},
	} {
		if got := fmt.Sprint(CheckRoom("report", c.all, c.ofJob)); got != c.want {
			t.Errorf("%d and %d: %s, want %s", c.all, c.ofJob, got, c.want)
		}
	}
}
