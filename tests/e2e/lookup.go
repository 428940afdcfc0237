// Looks up the name in the last argument as Go programs do, and prints each address on a line.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
)

func main() {
	addresses, err := net.LookupIP(os.Args[len(os.Args)-1])
	if err != nil {
		var fault *net.DNSError
		if errors.As(err, &fault) {
			// Without the server that was asked.
			fmt.Println(fault.Err)
		} else {
			fmt.Println(err)
		}
		os.Exit(1)
	}
	for _, address := range addresses {
		fmt.Println(address)
	}
}
