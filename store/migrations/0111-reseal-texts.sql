-- The worker ends requests, and seals what people wrote under newer keys; what was asked for, and by whom, it never changes.
revoke update on access_request from leasehold_worker;
grant update (state, closed_at, escalated_at, reason_ciphertext, reason_key_id) on access_request to leasehold_worker;
grant update (justification_ciphertext, justification_key_id, finding_ciphertext, finding_key_id) on break_glass_review to leasehold_worker;
