// Fetches the URL in the last argument as Go programs do.
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	reply, err := http.Get(os.Args[len(os.Args)-1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	reply.Body.Close()
}
