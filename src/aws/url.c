/*
 * url.c
 *		URLs, read by libcurl as it does when it connects.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <curl/curl.h>

#include "curl_memory.h"
#include "url.h"

/* Where an IPv4 address is. */
static PseudoUrlReach
reach_of_ipv4(const uint8 *address)
{
	if (address[0] == 127)
		return PSEUDO_REACH_LOOPBACK;
	if (address[0] == 169 && address[1] == 254)
		return PSEUDO_REACH_LINK;
	return PSEUDO_REACH_REMOTE;
}

/* Where a host is: an address without brackets, or a name. */
static PseudoUrlReach
reach_of(const char *host)
{
	static const uint8 metadata[] = {0xfd, 0x00, 0x0e, 0xc2};	/* fd00:ec2::/32 */
	uint8		v4[4];
	struct in6_addr v6;

	if (pg_strcasecmp(host, "localhost") == 0)
		return PSEUDO_REACH_LOOPBACK;
	if (inet_pton(AF_INET, host, v4) == 1)
		return reach_of_ipv4(v4);
	if (inet_pton(AF_INET6, host, &v6) != 1)
		return PSEUDO_REACH_REMOTE;
	if (IN6_IS_ADDR_V4MAPPED(&v6))
		return reach_of_ipv4(v6.s6_addr + 12);
	if (IN6_IS_ADDR_LOOPBACK(&v6))
		return PSEUDO_REACH_LOOPBACK;
	if (IN6_IS_ADDR_LINKLOCAL(&v6) || memcmp(v6.s6_addr, metadata, sizeof(metadata)) == 0)
		return PSEUDO_REACH_LINK;
	return PSEUDO_REACH_REMOTE;
}

/* Copy a part of a URL; one that does not fit is no part of a good URL. */
static CURLUcode
url_part(CURLU *handle, CURLUPart what, unsigned int flags, char *copy, Size size)
{
	char	   *part = NULL;
	CURLUcode	code = curl_url_get(handle, what, &part, flags);

	if (code == CURLUE_OK && strlcpy(copy, part, size) >= size)
		code = CURLUE_MALFORMED_INPUT;
	curl_free(part);
	return code;
}

/* Read a URL that libcurl has parsed: http or https, with a host, without a user. */
static CURLUcode
read_url(CURLU *handle, PseudoUrl *url)
{
	char		string[PSEUDO_MAX_HOST];
	CURLUcode	code = url_part(handle, CURLUPART_SCHEME, 0, string, sizeof(string));

	if (code != CURLUE_OK)
		return code;
	url->tls = strcmp(string, "https") == 0;
	if (!url->tls && strcmp(string, "http") != 0)
		return CURLUE_UNSUPPORTED_SCHEME;
	code = url_part(handle, CURLUPART_USER, 0, string, sizeof(string));
	if (code == CURLUE_NO_USER)
		code = url_part(handle, CURLUPART_PASSWORD, 0, string, sizeof(string));
	if (code != CURLUE_NO_PASSWORD)
		return code == CURLUE_OK ? CURLUE_USER_NOT_ALLOWED : code;
	code = url_part(handle, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT, url->port, sizeof(url->port));
	if (code != CURLUE_OK && code != CURLUE_NO_PORT)
		return code;
	code = url_part(handle, CURLUPART_HOST, 0, url->host, sizeof(url->host));
	if (code != CURLUE_OK || url->host[0] == '\0')
		return code == CURLUE_OK ? CURLUE_NO_HOST : code;

	strlcpy(string, url->host + (url->host[0] == '['), sizeof(string));
	string[strcspn(string, "]")] = '\0';
	url->reach = reach_of(string);
	return CURLUE_OK;
}

/* See url.h. */
bool
pseudo_url_parse(const char *string, PseudoUrl *url)
{
	CURLU	   *handle;
	CURLUcode	code;

	pseudo_curl_start();
	memset(url, 0, sizeof(*url));
	handle = curl_url();
	if (handle == NULL)
		pseudo_curl_out_of_memory();
	code = curl_url_set(handle, CURLUPART_URL, string, 0);
	if (code == CURLUE_OK)
		code = read_url(handle, url);
	curl_url_cleanup(handle);
	if (code == CURLUE_OUT_OF_MEMORY)
		pseudo_curl_out_of_memory();
	return code == CURLUE_OK;
}

/* See url.h. */
char *
pseudo_url_host_header(const PseudoUrl *url)
{
	return psprintf("%s%s%s", url->host, url->port[0] ? ":" : "", url->port);
}

/* See url.h. */
char *
pseudo_url_host(const char *url)
{
	PseudoUrl	parsed;

	return pseudo_url_parse(url, &parsed) ? pseudo_url_host_header(&parsed) : NULL;
}

/* See url.h. */
bool
pseudo_url_is_loopback(const char *url)
{
	PseudoUrl	parsed;

	return pseudo_url_parse(url, &parsed) && parsed.reach == PSEUDO_REACH_LOOPBACK;
}
