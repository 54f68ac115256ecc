package access

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadIdentity(t *testing.T) {
	for text, want := range map[string]Identity{
		`{"email":"a@b","email_verified":true,"name":"Ada","groups":["x","y"]}`: {Email: "a@b", EmailVerified: true, Name: "Ada", Groups: []string{"x", "y"}},
		`{"email":"a@b","email_verified":"true","groups":"x"}`:                  {Email: "a@b", EmailVerified: true, Groups: []string{"x"}},
		`{"email":"a@b","email_verified":"TRUE","groups":null}`:                 {Email: "a@b", EmailVerified: true},
		`{"email":"a@b","email_verified":"false"}`:                              {Email: "a@b"},
		`{"email":"a@b","email_verified":"yes","groups":[1,"x",null,""]}`:       {Email: "a@b", Groups: []string{"x"}},
		`{"email":"a@b","email_verified":1,"groups":{"x":1}}`:                   {Email: "a@b"},
		`{"email":"a@b","email_verified":null}`:                                 {Email: "a@b"},
		`{"email":["a@b"],"email_verified":true,"name":7}`:                      {EmailVerified: true},
		`{}`: {},
	} {
		var claims map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &claims); err != nil {
			t.Fatal(err)
		}
		want.Issuer = "i"
		if diff := cmp.Diff(want, ReadIdentity("i", claims)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestScopeOf(t *testing.T) {
	grants, err := ParseGrants([]string{"@example.org=read", "Ada@example.org=write", "group:ops=admin"})
	if err != nil || !grants.NameGroups() || grants[:2].NameGroups() {
		t.Fatalf("%+v, %v", grants, err)
	}
	for _, tt := range []struct {
		id   Identity
		want Scope
	}{
		{Identity{Email: "eve@example.org", EmailVerified: true}, Read},
		{Identity{Email: "ADA@Example.org", EmailVerified: true}, Write},
		{Identity{Email: "ada@example.org", EmailVerified: true, Groups: []string{"ops"}}, Admin},
		{Identity{Email: "ada@example.org", Groups: []string{"dev"}}, Public},
		{Identity{Groups: []string{"ops"}}, Admin},
		{Identity{Groups: []string{""}}, Public},
		{Identity{EmailVerified: true}, Public},
		{Identity{Email: "ada@example.org.evil.example", EmailVerified: true}, Public},
	} {
		if got := grants.ScopeOf(tt.id); got != tt.want {
			t.Errorf("%+v: scope %q, want %q", tt.id, got, tt.want)
		}
	}
}
