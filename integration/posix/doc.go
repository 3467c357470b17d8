// Posix is a program that tries the file operations of POSIX on a directory and
// says which of them did not behave: what each may do, what it must refuse, and
// with which error. The stories run it in mounts; on a directory of the disk it
// finds nothing, which shows that it asks for what file systems do.
//
//	posix [-run GROUP[/CASE]] [-users=only] DIR
//
// It prints one line for each case, "ok GROUP/CASE" or "not ok GROUP/CASE" with
// the step that failed, and ends with 0 if it could try them all.
//
// # Cases
//
// A case is some lines of a file in cases/, named by the group of its operation:
//
//	case onto-non-empty
//	mkdir a 0755
//	mkdir b 0755
//	create b/c 0644
//	rename a b = ENOTEMPTY
//	ls . = a,b
//
// Each runs in a directory of its own. A step is an operation, its arguments, and
// after "=" what comes of it: an error by its name, alternatives between bars,
// what the operation prints, or "ok" for any success. A step without "=" must
// succeed. A text with spaces is quoted as in Go; <200> stands for a name of 200
// bytes, <4096/> for a path that long. "as UID" before an operation makes another
// user try it; cases with such a step are tried with -users=only, and alone then,
// since a mount that lets others in has other modes by default.
//
// The operations are in steps.go and descriptors.go.
package main
