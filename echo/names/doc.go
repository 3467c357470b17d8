// Package names turns the labels of objects, which people set on any machine,
// into names of files that are safe on this one, and back.
//
// A label is any string. A name is one component of a path: at most 255 bytes,
// valid UTF-8 in normal form C, not empty, not "." or "..", without "/" and
// NUL, and without anything that a terminal, a shell or a reader could take for
// something else. [Escape] writes what is not allowed as "%XX", two hexadecimal
// digits in upper case for each byte of UTF-8, and [Unescape] reads that:
//
//	Unescape(Escape(label)) == NFC(label)
//
// Escaped are:
//
//   - control characters, "/", "\", bytes that are not UTF-8;
//   - "%" where two hexadecimal digits follow, and the label "%" itself;
//   - characters that order text (bidi), are invisible, break lines, select
//     variants, or are spaces other than " "; what Unicode does not call graphic;
//   - in front: "~", a space, a combining mark; and "." and "-" in a label that
//     another identity set, so that nobody else can plant .bashrc or -rf;
//   - at the end: "." and a space;
//   - a combining mark after an escape, which would else sit on its last digit.
//
// The empty label is "%".
//
// Names are compared by bytes: case is significant. Two names that a person
// could take for one have the same [CollisionKey].
package names
