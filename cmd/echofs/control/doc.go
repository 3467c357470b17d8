// Package control is the local API of a vault: HTTP and JSON over a unix
// socket in the vault's directory. The commands of echofs are its first
// client. A command speaks to the daemon that holds the vault, or, where there
// is none, to the same handler in its own process ([Local]), so there is one
// code path for both.
//
// # Calls
//
// An [RPC] is a typed value: it names the method, the scope that an
// application will need for it, and the Go types of request and reply.
// [Methods] lists them all. A call is
//
//	POST /v1/<name>
//
// whose body is one JSON document (at most MaxRequest bytes) and, for uploads,
// a newline and the raw bytes that follow it. The reply is a stream of lines,
//
//	{"item":…}        as many as the method has to say
//	{"done":true}     the end, or
//	{"error":{"code":…,"message":…,"hint":…}}
//
// and a reply without one of the two endings was cut off. Unknown fields of a
// request are refused, so that a daemon of an older version says so instead of
// ignoring an option it does not know; unknown fields of a reply are ignored.
//
// # Who may call
//
// The socket has mode 0600 in a directory of mode 0700, and each side asks the
// kernel for the other's user id ([Listen], [Dial]). Every request passes one
// choke point, authorize, which compares the caller's scopes with the
// method's.
package control
