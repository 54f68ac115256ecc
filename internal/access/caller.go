package access

import (
	"context"

	"stint.dev/stint/internal/shares"
)

// Caller is who sent a request, as far as the server knows.
type Caller struct {
	Name  string
	Scope Scope  // what they may do
	Via   string // ViaNone, ViaToken, ViaSession or ViaOIDC
	Token string // id of the token; empty without one
	Doubt Doubt  // why one without a scope needs a token
	// Address is where the request came from, as shares are counted.
	Address string
}

// Local returns who sent a request that needs no token. They may do everything.
func Local() Caller { return Caller{Scope: Admin, Via: ViaNone} }

// How a caller was identified.
const (
	ViaNone    = "none"
	ViaToken   = "token"
	ViaSession = "session"
	ViaOIDC    = "oidc"
)

type callerKey struct{}

// WithCaller returns the context of a request that c sent.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns who sent the request of a context.
func CallerOf(ctx context.Context) Caller {
	c, ok := ctx.Value(callerKey{}).(Caller)
	if !ok {
		return Caller{Via: ViaNone}
	}
	return c
}

// Owner returns whose share the caller uses: that of the token or session, else of the address.
func (c Caller) Owner() shares.Owner {
	o := shares.Owner{Token: c.Token, Address: c.Address}
	if o.Token == "" && c.Name != "" {
		o.Token = c.Via + " " + c.Name
	}
	return o
}
