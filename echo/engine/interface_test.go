package engine_test

import (
	"echofs/echo"
	"echofs/echo/engine"
)

var _ echo.Engine = (*engine.Engine)(nil)
