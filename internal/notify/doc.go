// Package notify sends notifications. A change of a run writes rows to the outbox in the same transaction.
// The Worker (worker.go) finds the routes of each cause (match.go), decides what is sent when (plan.go,
// quiet.go), and delivers each message at least once, in the order of the changes, with an id that is the same
// in every try (deliver.go). Channels are webhooks (webhook.go), e-mail (mail.go) and chats (chat.go), all
// behind a guard against private addresses (guard.go). While something waits for a route, the route has a
// goroutine of its own, in one server at a time, so that a slow receiver delays no other.
//
// The worker also handles the actions that are not notifications (act.go): it ends a canceled run whose agent
// is gone, and gives up a retry that does not begin.
package notify
