package server

import (
	"context"
	"net/http"

	"stint.dev/stint/internal/shares"
)

// ownerOf is whose share a request uses: that of its token or session, else of its address.
func ownerOf(r *http.Request) shares.Owner { return ownerIn(r.Context()) }

// ownerIn is whose share is used by what is done in a request's context.
func ownerIn(ctx context.Context) shares.Owner {
	a := actorOf(ctx)
	o := shares.Owner{Token: a.token, Address: a.address}
	if o.Token == "" && a.name != "" {
		o.Token = a.via + " " + a.name
	}
	return o
}
