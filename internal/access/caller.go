package access

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"stint.dev/stint/internal/shares"
	"stint.dev/stint/job"
)

// Caller is the sender of a request as the server identified it.
type Caller struct {
	Name  string
	Scope Scope  // scope of their requests
	Via   string // ViaNone, ViaToken, ViaSession, ViaOIDC, ViaAttempt or ViaClaim
	Token string // ID of the token; empty if there is none
	Doubt Doubt  // why a caller without a scope needs a token
	// Incarnation is that of the process to which the token of an attempt was given.
	Incarnation string
	// Worker and Labels are those of a token of the scope worker.
	Worker string
	Labels map[string]string
	// Address is the source of the request, for which shares are counted.
	Address string
}

// RefuseWorker returns why the caller may not act as a worker with labels; empty if it may. A token of the
// scope worker is for one worker, and for its labels.
func (c Caller) RefuseWorker(worker string, labels map[string]string) string {
	switch {
	case c.Scope != Worker:
		return ""
	case c.Worker != worker:
		return fmt.Sprintf("the token %s is for the worker %s, and not for %s: start the worker with --name, or create a token for this one",
			job.Quote(c.Name), job.Quote(c.Worker), job.Quote(worker))
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if value, ok := c.Labels[key]; !ok || value != labels[key] {
			return fmt.Sprintf("the token %s is not for the label %s: create one with stint token create --scope worker --worker … --label, or start the worker without the label",
				job.Quote(c.Name), job.Quote(key+"="+labels[key]))
		}
	}
	return ""
}

// Local returns the caller of a request that needs no token. The caller may do everything.
func Local() Caller { return Caller{Scope: Admin, Via: ViaNone} }

// The values of Caller.Via: how a caller was identified.
const (
	ViaNone    = "none"
	ViaToken   = "token"
	ViaSession = "session"
	ViaOIDC    = "oidc"
	ViaAttempt = "attempt" // the token of an attempt, which is valid for that attempt only
	ViaClaim   = "claim"   // the token of a claim, which is valid for the request of its permit only
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

// IsAgent reports whether the caller may do no more than an agent, and is not one of the attempts of a submitted
// run.
func (c Caller) IsAgent() bool {
	return c.Scope == Agent && c.Via != ViaAttempt && c.Via != ViaClaim
}

// Owner returns the name of the caller's share: of the token or session, otherwise of the address.
func (c Caller) Owner() shares.Owner {
	o := shares.Owner{Token: c.Token, Address: c.Address}
	if o.Token == "" && c.Name != "" {
		o.Token = c.Via + " " + c.Name
	}
	return o
}
