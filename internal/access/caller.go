package access

import (
	"context"

	"stint.dev/stint/internal/shares"
)

// Caller is the sender of a request as the server identified it.
type Caller struct {
	Name  string
	Scope Scope  // scope of their requests
	Via   string // ViaNone, ViaToken, ViaSession or ViaOIDC
	Token string // ID of the token; empty if there is none
	Doubt Doubt  // why a caller without a scope needs a token
	// Address is the source of the request, for which shares are counted.
	Address string
}

// Local returns the caller of a request that needs no token. The caller may do everything.
func Local() Caller { return Caller{Scope: Admin, Via: ViaNone} }

// The values of Caller.Via: how a caller was identified.
const (
	ViaNone    = "none"
	ViaToken   = "token"
	ViaSession = "session"
	ViaOIDC    = "oidc"
)

type callerKey struct{}

// WithCaller returns a copy of ctx with the caller c.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns the caller of the request with a context.
func CallerOf(ctx context.Context) Caller {
	c, ok := ctx.Value(callerKey{}).(Caller)
	if !ok {
		return Caller{Via: ViaNone}
	}
	return c
}

// Owner returns the name of the caller's share: of the token or session, otherwise of the address.
func (c Caller) Owner() shares.Owner {
	o := shares.Owner{Token: c.Token, Address: c.Address}
	if o.Token == "" && c.Name != "" {
		o.Token = c.Via + " " + c.Name
	}
	return o
}
