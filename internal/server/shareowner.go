package server

import (
	"net/http"

	"stint.dev/stint/internal/shares"
)

// ownerOf is whose share a request uses: that of its token or session, else of its address.
func ownerOf(r *http.Request) shares.Owner {
	a := actorOf(r.Context())
	o := shares.Owner{Token: a.token, Address: addressOf(r).String()}
	if o.Token == "" && a.name != "" {
		o.Token = a.via + " " + a.name
	}
	return o
}
