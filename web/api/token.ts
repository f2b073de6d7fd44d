/**
 * The token of the printed link.
 * @module
 */

/**
 * Name of the query parameter of the printed link that carries the token. The page takes it to
 * sessionStorage under {@linkcode TOKEN_KEY}, takes it out of the address (`history.replaceState`),
 * and sends it as `Authorization: Bearer TOKEN` with every POST. Reading needs none.
 */
export const TOKEN_PARAMETER = "token";

/** Key in sessionStorage. */
export const TOKEN_KEY = "viaduct-token";
