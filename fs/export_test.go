package fs

// AllowsOther is for the tests of this package.
var AllowsOther = allowsOther
