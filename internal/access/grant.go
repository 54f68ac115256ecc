package access

import (
	"encoding/json"
	"strings"

	"stint.dev/stint/job"
)

// Identity is the description of a person by an identity provider.
type Identity struct {
	Issuer        string   `json:"issuer"`
	Email         string   `json:"email,omitempty"`
	EmailVerified bool     `json:"email_verified,omitempty"`
	Name          string   `json:"name,omitempty"`
	Groups        []string `json:"groups,omitempty"`
}

// Who names the person in the audit log and on the page.
func (id Identity) Who() string {
	if id.Email != "" {
		return id.Email
	}
	return id.Name
}

// ReadIdentity reads an identity from the claims of an identity token. Providers differ in
// the format of two claims: email_verified may be a string, and groups may be one string. A claim
// in any other format counts as absent.
func ReadIdentity(issuer string, claims map[string]json.RawMessage) Identity {
	id := Identity{Issuer: issuer, Email: textClaim(claims["email"]), Name: textClaim(claims["name"])}
	if json.Unmarshal(claims["email_verified"], &id.EmailVerified) != nil {
		id.EmailVerified = strings.EqualFold(textClaim(claims["email_verified"]), "true")
	}
	var groups []json.RawMessage
	if json.Unmarshal(claims["groups"], &groups) != nil {
		groups = []json.RawMessage{claims["groups"]}
	}
	for _, g := range groups {
		if name := textClaim(g); name != "" {
			id.Groups = append(id.Groups, name)
		}
	}
	return id
}

func textClaim(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}

// Grant gives a scope to an address, the addresses of a domain, or a group.
type Grant struct {
	email, domain, group string // exactly one is set
	scope                Scope
}

// Grants are the scopes that an operator gave to people of an identity provider.
type Grants []Grant

// ParseGrants reads grants such as "ada@example.org=admin", "@example.org=read" and
// "group:ops=write".
func ParseGrants(texts []string) (Grants, error) {
	var grants Grants
	for _, text := range texts {
		g, err := parseGrant(text)
		if err != nil {
			return nil, err
		}
		grants = append(grants, g)
	}
	return grants, nil
}

func parseGrant(text string) (Grant, error) {
	who, scope, ok := strings.Cut(text, "=")
	g := Grant{scope: Scope(scope)}
	if !ok || !g.scope.Allows(Read) || who == "" || who == "@" || who == "group:" {
		return g, &job.InvalidError{What: "OIDC grant", Value: text, Why: "is not like ada@example.org=admin, @example.org=read or group:ops=write"}
	}
	if name, ok := strings.CutPrefix(who, "group:"); ok {
		g.group = name
		return g, nil
	}
	if domain, ok := strings.CutPrefix(who, "@"); ok {
		g.domain = strings.ToLower(domain)
		return g, nil
	}
	if !strings.Contains(who, "@") {
		return g, &job.InvalidError{What: "OIDC grant", Value: text, Why: "names neither an e-mail address, nor a @domain, nor a group:NAME"}
	}
	g.email = strings.ToLower(who)
	return g, nil
}

// NameGroups reports whether a grant is to a group.
func (gs Grants) NameGroups() bool {
	for _, g := range gs {
		if g.group != "" {
			return true
		}
	}
	return false
}

// ScopeOf returns the widest scope of a person, or Public if they have none. An address counts only
// if the provider has verified it.
func (gs Grants) ScopeOf(id Identity) Scope {
	email := ""
	if id.EmailVerified {
		email = strings.ToLower(id.Email)
	}
	_, domain, _ := strings.Cut(email, "@")
	found := Public
	for _, g := range gs {
		match := email != "" && g.email == email || domain != "" && g.domain == domain
		for _, name := range id.Groups {
			match = match || g.group != "" && g.group == name
		}
		if match && (found == Public || g.scope.Allows(found)) {
			found = g.scope
		}
	}
	return found
}
