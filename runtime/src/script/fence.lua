-- For writes that a fencing token guards. Stands before a script of yours; see the Rust documentation of `keylatch::fencing`.
-- `fence` is the key that holds the newest token that was seen. Returns nothing if `token` is that or newer, which is then kept;
-- otherwise the newest one, and nothing may be written. Tokens are compared as numbers, exact to 2^53, and stored as they came.
local function stale(fence, token)
  local newest = redis.call('GET', fence)
  if newest and tonumber(newest) > tonumber(token) then
    return newest
  end
  if newest ~= token then
    redis.call('SET', fence, token)
  end
  return nil
end
