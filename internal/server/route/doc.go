// Package route is a row of the route table, and the OpenAPI document and page that are made of
// all rows.
package route
