/* Prints what getaddrinfo gives for a name, one address a line. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(int count, char **words)
{
    struct addrinfo hints, *list, *one;
    char text[INET6_ADDRSTRLEN];

    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    int error = count == 2 ? getaddrinfo(words[1], "443", &hints, &list) : EAI_NONAME;
    if (error) {
        puts(gai_strerror(error));
        return 1;
    }
    for (one = list; one; one = one->ai_next) {
        const void *address = one->ai_family == AF_INET
            ? (const void *)&((struct sockaddr_in *)one->ai_addr)->sin_addr
            : (const void *)&((struct sockaddr_in6 *)one->ai_addr)->sin6_addr;
        puts(inet_ntop(one->ai_family, address, text, sizeof text));
    }
    freeaddrinfo(list);
    return 0;
}
