// Package route has the rows of the route table (row.go), and makes the OpenAPI document (openapi.go) and
// its page (page.go) from them.
package route
