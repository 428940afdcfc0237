setLocal("127.0.0.1:{port}")
setACL({"127.0.0.0/8"})
-- Without a server that it can trust it says so, rather than nothing.
setServFailWhenNoServer(true)
newServer({
    address = "127.0.0.1:{upstream}", tls = "openssl", dohPath = "/dns-query", subjectName = "{name}", caStore = "{ca}",
    validateCertificates = true, checkName = "quay.io.", mustResolve = true, checkInterval = 1
})
