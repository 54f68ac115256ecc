package access

import (
	"strings"
	"testing"
)

func TestRefuseWorker(t *testing.T) {
	w7 := Caller{Name: "w7's", Scope: Worker, Worker: "w7", Labels: map[string]string{"zone": "fra", "gpu": ""}}
	for _, c := range []struct {
		who    Caller
		worker string
		labels map[string]string
		says   string // empty: it may
	}{
		{w7, "w7", nil, ""},
		{w7, "w7", map[string]string{"zone": "fra", "gpu": ""}, ""},
		{w7, "w8", nil, `is for the worker "w7", and not for "w8"`},
		{w7, "w7", map[string]string{"zone": "ber"}, `"zone=ber"`},
		{w7, "w7", map[string]string{"disk": ""}, `"disk="`},
		{Caller{Scope: Admin}, "any", map[string]string{"zone": "ber"}, ""},
		{Local(), "any", nil, ""},
	} {
		if got := c.who.RefuseWorker(c.worker, c.labels); (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s %v: %q, want %q", c.worker, c.labels, got, c.says)
		}
	}
}

func TestSetWorker(t *testing.T) {
	many := map[string]string{}
	for i := range 65 {
		many[strings.Repeat("x", i+1)] = ""
	}
	for _, c := range []struct {
		scope  Scope
		worker string
		labels map[string]string
		ok     bool
	}{
		{Worker, "w7", nil, true},
		{Worker, "w7", map[string]string{"zone": "fra"}, true},
		{Read, "", nil, true},
		{Worker, "", nil, false},
		{Worker, "a/b", nil, false},
		{Worker, "w7", map[string]string{"a=b": ""}, false},
		{Worker, "w7", many, false},
		{Agent, "w7", nil, false},
		{Admin, "", map[string]string{"zone": "fra"}, false},
	} {
		k := Token{Scope: string(c.scope)}
		if err := k.SetWorker(c.worker, c.labels); (err == nil) != c.ok || c.ok && (k.Worker != c.worker || len(k.Labels) != len(c.labels)) {
			t.Errorf("%s %q %v: %+v, %v", c.scope, c.worker, c.labels, k, err)
		}
	}
}
