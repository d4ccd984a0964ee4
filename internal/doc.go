// Package internal holds the test that keeps the rooms' imports pointing one way.
package internal
