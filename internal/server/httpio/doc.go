// Package httpio reads requests and writes responses for the handlers of the server: query parameters
// (params.go), JSON bodies (json.go, keys.go), errors as problem details (problem.go), and bodies of
// slow clients (paced.go, writer.go).
package httpio
