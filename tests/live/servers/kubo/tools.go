//go:build tools

// Package kubo pins the release of Kubo that the tests run.
package kubo

import _ "github.com/ipfs/kubo/cmd/ipfs"
