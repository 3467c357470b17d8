package turn

import "io"

// Parse is parse, for tests.
func Parse(r io.Reader) (Offer, error) { return parse(r) }
