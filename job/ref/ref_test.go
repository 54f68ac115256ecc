package ref_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/job"
	"stint.dev/stint/job/ref"
)

const someID = "0198c1f2-7b1c-7cc2-9c2a-0f3d5b6a7e10"

func TestParse(t *testing.T) {
	bad := []job.State{job.Failed, job.TimedOut, job.Lost}
	active := []job.State{job.Starting, job.Installing, job.Running, job.Stopping}
	for text, want := range map[string]ref.Ref{
		"train#12":                         {Numbered: "train", Number: 12},
		"größe 2#1":                        {Numbered: "größe 2", Number: 1},
		"a.b@c#7":                          {Numbered: "a.b@c", Number: 7},
		"train#-1":                         {Numbered: "train", Number: -1},
		"train#12.3":                       {Numbered: "train", Number: 12, Attempt: 3},
		"train#-2.1":                       {Numbered: "train", Number: -2, Attempt: 1},
		"t#-9223372036854775808":           {Numbered: "t", Number: -1 << 63},
		someID:                             {ID: someID, Job: someID},
		strings.ToUpper(someID):            {ID: someID, Job: strings.ToUpper(someID)},
		"0198":                             {Job: "0198", Prefix: "0198"},
		"CAFE":                             {Job: "CAFE", Prefix: "cafe"},
		"0198c1f2-":                        {Job: "0198c1f2-", Prefix: "0198c1f2-"},
		"019":                              {Job: "019"},
		"train":                            {Job: "train"},
		"train.py":                         {Job: "train.py"},
		"train@failed":                     {Job: "train@failed", InState: "train", States: bad},
		"train@running":                    {Job: "train@running", InState: "train", States: active},
		"train@succeeded":                  {Job: "train@succeeded", InState: "train", States: []job.State{job.Succeeded}},
		"train@retrying":                   {Job: "train@retrying", InState: "train", States: []job.State{job.Retrying}},
		"a@b@timed_out":                    {Job: "a@b@timed_out", InState: "a@b", States: []job.State{job.TimedOut}},
		"train@nothing":                    {Job: "train@nothing"},
		"@failed":                          {Job: "@failed"},
		"train@":                           {Job: "train@"},
		strings.Repeat("a", 36):            {Job: strings.Repeat("a", 36), Prefix: strings.Repeat("a", 36)},
		strings.Repeat("a", 37):            {Job: strings.Repeat("a", 37)},
		strings.Repeat("j", 200):           {Job: strings.Repeat("j", 200)},
		strings.Repeat("j", 200) + "@lost": {InState: strings.Repeat("j", 200), States: []job.State{job.Lost}},
	} {
		got, err := ref.Parse(text)
		want.Text = text
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Parse(%q): %v (-want +got): %s", text, err, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"": "names no run", "#": "is empty", "#1": "is empty", "train#": "wants a number", "train#0": "wants a number", "train#-0": "wants a number", "train#+1": "wants a number",
		"train#--1": "wants a number", "train#-": "wants a number", "train#x": "wants a number", "train#1_0": "wants a number", "train#99999999999999999999": "wants a number",
		"train#1.": "number of an attempt", "train#1.0": "number of an attempt", "train#1.-1": "number of an attempt", "train#1.+1": "number of an attempt",
		"train#1.1000001": "number of an attempt", "train#1.2.3": "number of an attempt", "train#1.2@failed": "number of an attempt", "train#.2": "wants a number",
		"a#b#3": "has the character", "a/b#3": "has the character", "a/b": "names no run", "0198 ": "names no run", "\x00\x00\x00\x00": "names no run", "..": "names no run",
		strings.Repeat("a", 10<<20): "names no run",
	} {
		got, err := ref.Parse(text)
		var invalid *job.InvalidError
		if !errors.As(err, &invalid) || !cmp.Equal(got, ref.Ref{}) || len(err.Error()) > 500 || !strings.Contains(err.Error(), says) {
			t.Errorf("Parse(%.40q) = %+v, %.300v; want %q", text, got, err, says)
		}
	}
}
