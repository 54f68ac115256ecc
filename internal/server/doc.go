// Package server is the HTTP server of the tracking server. It has the table of all routes
// (routes.go), the checks that each request passes (mux.go), and start and shutdown (serve.go);
// the handlers are in the packages below it, one for each subject.
package server
