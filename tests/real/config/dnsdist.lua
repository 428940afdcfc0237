setSecurityPollSuffix("") -- which would ask the Internet
setLocal("127.0.0.1:{port}")
setACL({"127.0.0.0/8"})
newServer({
    address = "127.0.0.1:{upstream}", source = "127.0.7.2", tcpOnly = true, useProxyProtocol = true,
    checkName = "quay.io.", mustResolve = true, checkInterval = 1
})
