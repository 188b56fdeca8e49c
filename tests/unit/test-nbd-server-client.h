/*
 * An NBD client for tests, which says byte for byte what it is told to.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TEST_NBD_SERVER_CLIENT_H
#define TEST_NBD_SERVER_CLIENT_H

/* Builds what goes over the wire. */
void wire_be16(GByteArray *out, uint16_t v);
void wire_be32(GByteArray *out, uint32_t v);
void wire_be64(GByteArray *out, uint64_t v);
void wire_bytes(GByteArray *out, const void *data, size_t len);
/* An option with its data. */
void wire_option(GByteArray *out, uint32_t option, const void *data,
                 uint32_t len);
/* An option with a name and requests for pieces of information. */
void wire_info_option(GByteArray *out, uint32_t option, const char *name,
                      const uint16_t *requests, uint16_t n_requests);
/* The head of a request. */
void wire_request(GByteArray *out, uint16_t flags, uint16_t type,
                  uint64_t cookie, uint64_t offset, uint32_t len);

/* A blocking socket with a deadline, connected to @path. */
int client_connect(const char *path);
/* The same, and in transmission with the export. */
int client_connect_export(const char *path, const char *name, uint64_t *size,
                          uint16_t *flags);

/* Sends all, or ends the test. */
void client_send(int fd, const void *data, size_t len);
/* The same, but accepts that the server has hung up. */
void client_send_maybe(int fd, const void *data, size_t len);
/* Sends what was built and empties it. */
void client_send_wire(int fd, GByteArray *out);
/* Reads all of it, or ends the test. */
void client_recv(int fd, void *data, size_t len);
/* Waits for the server to hang up, whatever it says before. */
void client_expect_eof(int fd);
/* Waits until the server has read all that was sent. */
void client_wait_read(int fd);
/* Whether the server has sent anything. */
bool client_has_input(int fd);

/* Sends a request, and @payload with it if that is not NULL. */
void client_request(int fd, uint16_t flags, uint16_t type, uint64_t cookie,
                    uint64_t offset, uint32_t len, const void *payload);
/* Receives the head of a reply; returns its cookie. */
uint64_t client_reply(int fd, uint32_t *error);
/* Expects that one next. */
void client_expect_reply(int fd, uint64_t cookie, uint32_t error);

#endif
